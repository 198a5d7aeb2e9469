// Third part: whether and where an element can be acted on, and what is done without mouse and keyboard.
// ---- acting ----
const tell = (el) => {
  const role = roleOf(el) || "text";
  const name = cutTo(nameOf(el, role, 60) || said(el, 60), 60);
  return (ids.has(el) ? "[" + ids.get(el) + "] " : "") + role + (name ? " " + JSON.stringify(name) : "");
};
const failed = (kind, detail = "") => ({ failed: kind, detail });
const offset = (el) => {
  let x = 0;
  let y = 0;
  for (let view = viewOf(documentOf(el)); view && view.frameElement; view = view.parent) {
    const box = view.frameElement.getBoundingClientRect();
    x += box.x + view.frameElement.clientLeft;
    y += box.y + view.frameElement.clientTop;
  }
  return { x, y };
};
const hit = (el, x, y) => {
  let found = under(documentOf(el), x, y);
  while (found && shadowOf(found)) {
    const inner = shadowOf(found).elementFromPoint(x, y);
    if (!inner || inner === found) break;
    found = inner;
  }
  return found;
};
const within = (el, other) => {
  for (let at = other; at; at = aboveOf(at) || at.host) if (at === el) return true;
  return false;
};
const POINTS = [[0.5, 0.5], [0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75], [0.1, 0.1], [0.9, 0.1], [0.1, 0.9],
  [0.9, 0.9]];
const pointOf = (el) => {
  const view = viewOf(documentOf(el));
  let cover = null;
  for (const box of Array.from(boxesOf(el)).slice(0, 8)) {
    if (box.width < 1 || box.height < 1) continue;
    for (const [right, down] of POINTS) {
      const x = box.x + box.width * right;
      const y = box.y + box.height * down;
      if (x < 0 || y < 0 || x >= view.innerWidth || y >= view.innerHeight) continue;
      const found = hit(el, x, y);
      if (found && (within(el, found) || (tagOf(el) === "AREA" && tagOf(found) === "IMG"))) return { x, y };
      // The label of a field stands for it.
      const label = found?.closest?.("label");
      if (label && label.control === el) return { x, y };
      cover = cover || found;
    }
  }
  return { cover };
};
const shownAt = (el) => {
  const style = getComputedStyle(el);
  return boxesOf(el).length > 0 && style.visibility === "visible" &&
    Array.from(boxesOf(el)).some((box) => box.width >= 1 && box.height >= 1);
};
// Where an element can be clicked, or why it cannot.
const reach = (id, enabled = true) => {
  let el = byId(id);
  if (!el) return failed("gone");
  if (enabled && isDisabled(el)) return failed("disabled", tell(el));
  if (tagOf(el) === "OPTION" && !shownAt(el)) return failed("option", tell(el));
  if (tagOf(el) === "INPUT" && el.type === "file") return failed("file", tell(el));
  if (!shownAt(el)) {
    const label = Array.from(el.labels || []).find(shownAt);
    if (!label) return failed("hidden", tell(el));
    el = label;
  }
  let at = pointOf(el);
  for (const block of ["nearest", "center", "start", "end"]) {
    if (at.x !== undefined) break;
    el.scrollIntoView({ block, inline: "nearest", behavior: "instant" });
    at = pointOf(el);
  }
  if (at.x === undefined) return at.cover ? failed("covered", tell(at.cover)) : failed("hidden", tell(el));
  const place = offset(el);
  return { x: at.x + place.x, y: at.y + place.y };
};
const TYPED = new Set(["text", "search", "email", "url", "tel", "password", "number"]);
const SET = new Set(["date", "time", "datetime-local", "month", "week", "color", "range"]);
const fire = (el, ...types) => {
  for (const type of types) el.dispatchEvent(new Event(type, { bubbles: true, composed: true }));
};
// Makes a field ready for its text to be typed in ("type"), or sets it ("done").
const fill = (id, text) => {
  const el = byId(id);
  if (!el) return failed("gone");
  const tag = tagOf(el);
  const field = tag === "TEXTAREA" || (tag === "INPUT" && (TYPED.has(el.type) || SET.has(el.type)));
  if (!field && !el.isContentEditable) return failed("not-a-field", tell(el));
  if (isDisabled(el)) return failed("disabled", tell(el));
  if (el.readOnly) return failed("readonly", tell(el));
  if (!shownAt(el)) return failed("hidden", tell(el));
  el.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
  el.focus();
  if (tag === "INPUT" && SET.has(el.type)) {
    const before = el.value;
    el.value = text.trim();
    if (el.type !== "range" && el.value !== text.trim().toLowerCase() && el.value !== text.trim()) {
      el.value = before;
      return failed("malformed", el.type);
    }
    if (el.value !== before) fire(el, "input", "change");
    return { done: true };
  }
  if (tag === "INPUT" && el.type === "number" && text.trim() !== "" && Number.isNaN(Number(text))) {
    return failed("malformed", "number");
  }
  if (field) el.select();
  else {
    const range = new Range();
    range.selectNodeContents(el);
    const selection = viewOf(documentOf(el)).getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }
  return { type: true, filled: field ? el.value !== "" : el.textContent !== "" };
};
const choose = (id, wanted) => {
  let el = byId(id);
  if (!el) return failed("gone");
  if (tagOf(el) === "OPTION") el = closest(el, "select") || el;
  if (tagOf(el) !== "SELECT") return failed("not-a-list", tell(el));
  if (isDisabled(el)) return failed("disabled", tell(el));
  if (!shownAt(el)) return failed("hidden", tell(el));
  if (wanted.length > 1 && !el.multiple) return failed("one-option", tell(el));
  const all = Array.from(el.options);
  const chosen = [];
  for (const text of wanted) {
    const word = clean(text);
    const by = (test) => all.filter((one) => !chosen.includes(one) && test(one));
    let found = by((one) => clean(one.label) === word);
    if (!found.length) found = by((one) => one.value === text);
    if (!found.length) found = by((one) => clean(one.label).toLowerCase() === word.toLowerCase());
    if (!found.length) {
      const known = all.slice(0, 12).map((one) => JSON.stringify(cutTo(clean(one.label), 40))).join(", ");
      return failed("no-option", cutTo(word, 60) + "\n" + known + (all.length > 12 ? ", ..." : ""));
    }
    if (found.length > 1) return failed("ambiguous", cutTo(word, 60) + "\n" + found.length);
    if (found[0].disabled) return failed("disabled", "option " + JSON.stringify(cutTo(word, 60)));
    chosen.push(found[0]);
  }
  el.focus();
  const before = all.map((one) => one.selected).join();
  for (const one of all) one.selected = chosen.includes(one);
  if (all.map((one) => one.selected).join() !== before) fire(el, "input", "change");
  return { done: true };
};
const focus = (id) => {
  const el = byId(id);
  if (!el) return failed("gone");
  if (isDisabled(el)) return failed("disabled", tell(el));
  if (!shownAt(el)) return failed("hidden", tell(el));
  el.focus();
  const root = rootOf(el);
  return (root === documentOf(el) ? activeOf(root) : root.activeElement) === el ? { done: true } : failed("no-focus", tell(el));
};
// Whether a box is ticked, so that it is clicked only when that changes something.
const ticked = (id) => {
  const el = byId(id);
  if (!el) return failed("gone");
  const role = roleOf(el);
  if (!["checkbox", "radio", "switch", "menuitemcheckbox", "menuitemradio"].includes(role)) {
    return failed("not-a-box", tell(el));
  }
  return { ticked: tagOf(el) === "INPUT" ? el.checked : attr(el, "aria-checked") === "true", radio: role === "radio" };
};
// Scrolls what scrolls around an element, or the page.
const scroll = (id, dx, dy) => {
  let el = null;
  if (id) {
    el = byId(id);
    if (!el) return failed("gone");
  }
  for (; el; el = parentOf(el)) {
    const style = getComputedStyle(el);
    const scrolls = /auto|scroll|overlay/;
    if ((dy && scrolls.test(style.overflowY) && el.scrollHeight > el.clientHeight) ||
        (dx && scrolls.test(style.overflowX) && el.scrollWidth > el.clientWidth)) break;
  }
  (el || window).scrollBy({ left: dx, top: dy, behavior: "instant" });
  return { done: true };
};

globalThis.agentgym = {
  observe: async (options) => {
    if (options.fresh) since = looked;
    const quiet = await still(options.still, options.most, options.answered);
    looked = performance.now();
    const got = tree(options);
    got.still = quiet;
    return JSON.stringify(got);
  },
  act: (name, ...given) => JSON.stringify({ reach, fill, choose, focus, ticked, scroll }[name](...given)),
};
