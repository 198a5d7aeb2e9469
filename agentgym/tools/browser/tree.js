// Second part: when the page was last changed, and the tree of what it says.
// ---- stillness ----
let last = performance.now();
let changes = 0;
const changed = () => { last = performance.now(); changes += 1; };
const observer = new MutationObserver(changed);
const everything = { subtree: true, childList: true, attributes: true, characterData: true };
const watch = (root) => observer.observe(root, everything);
watch(document);
for (const type of ["input", "change", "scroll", "toggle", "load"]) {
  listen(document, type, changed, { capture: true, passive: true });
}
// Some turns of the page without a change, and so many milliseconds: time alone says nothing where the machine is busy.
const TURNS = 3;
// An answer that the browser has got may not have reached the script that waits for it, where the machine is busy; the
// page's own list of what it loaded has it then. Some never come to stand there, so they are not waited for longer; by
// turns as well, since a page that was not let run has not waited.
const HEARD_MS = 1000;
const HEARD_TURNS = 50;
let looked = 0; // when the page was last looked at
let since = 0; // and when before the present action
const heard = (answered) => answered.every((url) => {
  const wanted = answered.filter((other) => other === url).length;
  const got = performance.getEntriesByName(url, "resource").filter((entry) => entry.startTime >= since);
  return got.length >= wanted;
});
const still = (ms, most, answered) => new Promise((done) => {
  const start = performance.now();
  let seen = changes;
  let turns = 0;
  let all = 0;
  const late = (now) => now - start >= HEARD_MS && all >= HEARD_TURNS;
  const check = () => {
    const now = performance.now();
    all += 1;
    turns = changes === seen && (late(now) || heard(answered)) ? turns + 1 : 0;
    seen = changes;
    if (turns >= TURNS && now - Math.max(last, start) >= ms) done(true);
    else if (now - start >= most) done(false);
    else setTimeout(check, ms / TURNS);
  };
  setTimeout(check, 0);
});

// ---- the tree ----
const activeElement = () => {
  let el = activeOf(document);
  for (;;) {
    if (!el) return null;
    const frame = tagOf(el) === "IFRAME" ? frameOf(el) : null;
    if (shadowOf(el)?.activeElement) el = shadowOf(el).activeElement;
    else if (frame && activeOf(frame)) el = activeOf(frame);
    else return el !== bodyOf(documentOf(el)) && el !== rootElementOf(documentOf(el)) ? el : null;
  }
};
const frameOf = (el) => {
  try { return el.contentDocument; } catch { return null; }
};
const clickable = (el, style, above) =>
  has(el, "onclick") || (el.tabIndex >= 0 && has(el, "tabindex")) || attr(el, "draggable") === "true" ||
  (style.cursor === "pointer" && above !== "pointer");

const tree = ({ maxNodes, maxText, also, attributes }) => {
  let count = 0;
  let cut = 0;
  const active = activeElement();
  const nameLimit = maxText;

  const node = (el, role, name, value, states, children, place) => {
    const box = boxOf(el);
    const marks = [];
    for (const key of attributes) {
      const text = attr(el, key);
      if (text) marks.push([key, cutTo(text, maxText)]);
    }
    const round = (number) => Math.round(number * 10) / 10;
    return [
      idOf(el), role, cutTo(name, maxText), value === null ? null : cutTo(value, maxText), states,
      box.width > 0 && box.height > 0
        ? [round(box.x + place.x), round(box.y + place.y), round(box.width), round(box.height)] : null,
      tagOf(el).toLowerCase(), marks, children,
    ];
  };
  const text = (words) => ["", "text", cutTo(words, maxText), null, [], null, "", [], []];
  // Texts next to each other are one; blank ones nothing.
  const settled = (items) => {
    const all = [];
    let words = "";
    const flush = () => {
      const said = clean(words);
      words = "";
      if (said) { all.push(text(said)); count += 1; }
    };
    for (const item of items) {
      if (typeof item === "string") words += item;
      else { flush(); all.push(item); }
    }
    flush();
    return all;
  };

  const children = (el, out, cursor, place, texts, depth) => {
    const folded = tagOf(el) === "DETAILS" && el.open === false;
    for (const child of nodesOf(shadowOf(el) || el)) {
      if (folded && (kindOf(child) !== 1 || tagOf(child) !== "SUMMARY")) continue;
      if (kindOf(child) === 3) { if (texts) out.push(child.data); }
      else if (kindOf(child) === 1) visit(child, out, cursor, place, depth + 1, texts);
    }
    if (tagOf(el) === "SLOT") for (const child of el.assignedNodes()) {
      if (kindOf(child) === 3) { if (texts) out.push(child.data); }
      else if (kindOf(child) === 1) visit(child, out, cursor, place, depth + 1, texts);
    }
  };

  const visit = (el, out, cursor, place, depth, texts = true) => {
    const tag = tagOf(el);
    if (tag === "BR") { out.push(" "); return; }
    if (SKIPPED.has(tag) || attr(el, "aria-hidden") === "true" || (tag === "INPUT" && el.type === "hidden")) return;
    const style = getComputedStyle(el);
    if (gone(style)) return;
    if (count >= maxNodes || depth > 400) { cut += 1; return; }
    const visible = style.visibility === "visible";
    let role = roleOf(el);
    const wanted = also && matches(el, also);
    if (!role && (wanted || clickable(el, style, cursor))) role = "generic";
    if (tag === "LABEL" && el.control && el.control.getClientRects().length) {
      children(el, out, style.cursor, place, false, depth);
      return;
    }
    if (!visible) { children(el, out, style.cursor, place, false, depth); return; }
    if (role === "iframe") {
      const inside = frameOf(el) && bodyOf(frameOf(el));
      const box = boxOf(el);
      const at = { x: place.x + box.x + el.clientLeft, y: place.y + box.y + el.clientTop };
      const items = [];
      count += 1;
      idOf(el);
      if (inside) { watchOnce(documentOf(inside)); children(inside, items, "auto", at, true, depth); }
      const states = inside ? [] : ["foreign"];
      out.push(node(el, role, nameOf(el, role, nameLimit), null, states, settled(items), place));
      return;
    }
    const block = style.display !== "inline";
    if (!role) {
      const items = [];
      children(el, items, style.cursor, place, texts, depth);
      if (!block || style.display === "contents") { out.push(...items); return; }
      if (items.every((item) => typeof item === "string")) {
        const words = clean(items.join(""));
        if (words) { count += 1; out.push(node(el, "text", words, null, statesOf(el, "text", active), [], place)); }
        return;
      }
      out.push(...settled(items));
      return;
    }
    count += 1;
    let name = nameOf(el, role, nameLimit);
    const value = valueOf(el, role, maxText);
    const states = statesOf(el, role, active);
    if (role === "generic") states.push("clickable");
    const dissolved = ONLY_NAMED.has(role) && !name && role !== "list";
    if (!dissolved) idOf(el);  // numbers follow the order of the page
    const items = [];
    if (tag === "SELECT") {
      for (const one of el.children) visit(one, items, "auto", place, depth + 1);
    } else if (tag !== "TEXTAREA" && tag !== "svg" && !(value !== null && role === "textbox")) {
      children(el, items, style.cursor, place, true, depth);
    } else if (tag === "svg" && also) children(el, items, style.cursor, place, false, depth);
    let below;
    if (NAMED.has(role) || role === "image") {
      // The name says the content already: only what can be acted on inside is listed.
      below = keepActive(items);
    } else if (items.every((item) => typeof item === "string")) {
      const words = clean(items.join(""));
      below = [];
      if (words && !name) name = words;
      else if (words && words !== name) { below = [text(words)]; count += 1; }
    } else below = settled(items);
    if (dissolved && !name) { out.push(...below); return; }
    if (["paragraph", "listitem", "list", "cell", "blockquote", "region"].includes(role) && !name && !below.length) {
      if (role !== "cell") return;
    }
    out.push(node(el, role, name, value, states, below, place));
  };
  const ACTIVE = new Set(["button", "link", "checkbox", "radio", "switch", "textbox", "searchbox", "spinbutton",
    "slider", "combobox", "listbox", "option", "generic", "image", "menuitem", "tab", "treeitem", "group", "list"]);
  const keepActive = (items) => {
    const kept = [];
    for (const item of items) {
      if (typeof item === "string") continue;
      if (ACTIVE.has(item[1]) && item[1] !== "image") kept.push(item);
      else kept.push(...keepActive(item[8]));
    }
    return kept;
  };

  const out = [];
  const body = bodyOf(document);
  if (body) {
    const style = getComputedStyle(body);
    children(body, out, style.cursor, { x: 0, y: 0 }, true, 0);
  }
  const page = scrollingOf(document) || rootElementOf(document);
  return {
    url: location.href.toWellFormed(),
    title: cutTo(clean(titleOf(document)), maxText),
    nodes: settled(out),
    focus: active ? ids.get(active) || "" : "",
    cut,
    scroll: page ? [
      Math.round(scrollX), Math.round(scrollY),
      Math.max(0, page.scrollWidth - innerWidth), Math.max(0, page.scrollHeight - innerHeight),
    ] : [0, 0, 0, 0],
  };
};
const watched = new WeakSet([document]);
const watchOnce = (root) => {
  if (!watched.has(root)) { watched.add(root); watch(root); }
};
