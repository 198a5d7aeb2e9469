// First of three parts of one script, which runs in a world of its own in every document, before the page's scripts.
// They cannot see it. Texts and attributes of the page are data here: nothing of them is ever run.
// This part: numbers, roles, names, values and states of elements (a short form of WAI-ARIA's and its name computation).
// A form's fields are its properties by their names, and a document's images too, in every world: what is asked of
// an element is asked by the functions themselves.
const getter = (type, key) => {
  const { get } = Object.getOwnPropertyDescriptor(type.prototype, key);
  return (of) => get.call(of);
};
const method = (type, key) => {
  const { value } = Object.getOwnPropertyDescriptor(type.prototype, key);
  return (of, ...given) => value.apply(of, given);
};
const attr = method(Element, "getAttribute");
const has = method(Element, "hasAttribute");
const closest = method(Element, "closest");
const matches = method(Element, "matches");
const query = method(Element, "querySelector");
const boxOf = method(Element, "getBoundingClientRect");
const boxesOf = method(Element, "getClientRects");
const rootOf = method(Node, "getRootNode");
const tagOf = getter(Element, "tagName");
const shadowOf = getter(Element, "shadowRoot");
const kindOf = getter(Node, "nodeType");
const nodesOf = getter(Node, "childNodes");
const parentOf = getter(Node, "parentElement");
const aboveOf = getter(Node, "parentNode");
const connected = getter(Node, "isConnected");
const documentOf = getter(Node, "ownerDocument");
const bodyOf = getter(Document, "body");
const rootElementOf = getter(Document, "documentElement");
const viewOf = getter(Document, "defaultView");
const activeOf = getter(Document, "activeElement");
const scrollingOf = getter(Document, "scrollingElement");
const titleOf = getter(Document, "title");
const under = method(Document, "elementFromPoint");
const listen = method(EventTarget, "addEventListener");

// ---- ids: numbers that stay with their element; a removed element is not kept alive by its number ----
let next = 1;
const ids = new WeakMap();
const elements = new Map();
const idOf = (el) => {
  let id = ids.get(el);
  if (id === undefined) {
    id = String(next++);
    ids.set(el, id);
    elements.set(id, new WeakRef(el));
  }
  return id;
};
const byId = (id) => {
  const el = elements.get(String(id))?.deref();
  return el && connected(el) ? el : null;
};
// ---- roles ----
const INPUTS = {
  button: "button", submit: "button", reset: "button", image: "button", checkbox: "checkbox", radio: "radio",
  range: "slider", number: "spinbutton", search: "searchbox", file: "file", color: "color",
};
const TAGS = {
  BUTTON: "button", TEXTAREA: "textbox", OPTION: "option", H1: "heading", H2: "heading", H3: "heading",
  H4: "heading", H5: "heading", H6: "heading", UL: "list", OL: "list", MENU: "list", LI: "listitem",
  TABLE: "table", TR: "row", TD: "cell", TH: "columnheader", NAV: "navigation", MAIN: "main",
  ASIDE: "complementary", FORM: "form", FIELDSET: "group", SECTION: "region", ARTICLE: "article", DIALOG: "dialog",
  DETAILS: "group", SUMMARY: "button", P: "paragraph", BLOCKQUOTE: "blockquote", HR: "separator",
  PROGRESS: "progressbar", METER: "meter", IFRAME: "iframe", CANVAS: "canvas", VIDEO: "video", AUDIO: "audio",
  OUTPUT: "status", DT: "term", DD: "definition", FIGURE: "figure", OPTGROUP: "group", PRE: "code", SEARCH: "search",
};
const ROLES = new Set((
  "alert alertdialog application article banner blockquote button cell checkbox code columnheader combobox " +
  "complementary contentinfo definition dialog figure form grid gridcell group heading img link list listbox " +
  "listitem log main menu menubar menuitem menuitemcheckbox menuitemradio meter navigation note option paragraph " +
  "progressbar radio radiogroup region row rowheader scrollbar search searchbox separator slider spinbutton status " +
  "switch tab table tablist tabpanel term textbox timer toolbar tooltip tree treegrid treeitem"
).split(" "));
const PLAIN = new Set(["none", "presentation", "generic"]);
// What its content says is its name.
const NAMED = new Set((
  "button link heading option tab menuitem menuitemcheckbox menuitemradio checkbox radio switch treeitem tooltip " +
  "columnheader rowheader"
).split(" "));
// Worth a line only with a name of its own.
const ONLY_NAMED = new Set(["region", "form", "group", "figure", "list", "complementary", "search"]);
const FIELDS = new Set(["textbox", "searchbox", "spinbutton", "slider", "combobox", "listbox", "color", "file"]);
const SKIPPED = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "META", "LINK", "TITLE", "SOURCE", "TRACK",
  "DATALIST", "LEGEND", "CAPTION", "BR", "WBR"]);
const SECTIONS = "article,aside,main,nav,section";

const roleOf = (el) => {
  const given = attr(el, "role");
  if (given) {
    for (const role of given.toLowerCase().split(/\s+/)) {
      if (role === "img" || role === "image") return "image";
      if (ROLES.has(role)) return role;
      if (PLAIN.has(role)) return "";
    }
  }
  const tag = tagOf(el);
  if (tag === "A") return has(el, "href") ? "link" : "";
  if (tag === "INPUT") return INPUTS[el.type] || "textbox";
  if (tag === "SELECT") return el.multiple || el.size > 1 ? "listbox" : "combobox";
  if (tag === "IMG") return attr(el, "alt") === "" ? "" : "image";
  if (tag === "HEADER") return closest(el, SECTIONS) ? "" : "banner";
  if (tag === "FOOTER") return closest(el, SECTIONS) ? "" : "contentinfo";
  if (tag === "TH") return el.scope === "row" ? "rowheader" : "columnheader";
  if (tag === "svg") return query(el, "title") || has(el, "aria-label") ? "image" : "";
  if (tag === "AREA") return has(el, "href") ? "link" : "";
  if (el.isContentEditable === true && parentOf(el)?.isContentEditable !== true) return "textbox";
  return TAGS[tag] || "";
};

// ---- names ----
const clean = (text) => text.replace(/\s+/g, " ").trim();
const cutTo = (text, most) => (text.length > most ? text.slice(0, most) + "…" : text).toWellFormed();
const gone = (style) => style.display === "none";
// The text that an element's content amounts to, of at most `most` characters.
const content = (el, most, into = []) => {
  const parts = into;
  for (const child of nodesOf(shadowOf(el) || el)) {
    if (parts.length > most) break;
    if (kindOf(child) === 3) parts.push(child.data);
    else if (kindOf(child) === 1 && !SKIPPED.has(tagOf(child)) && attr(child, "aria-hidden") !== "true") {
      const style = getComputedStyle(child);
      if (gone(style) || style.visibility !== "visible") continue;
      const label = attr(child, "aria-label") || (tagOf(child) === "IMG" ? child.alt : "");
      const space = style.display.startsWith("inline") ? "" : " ";
      parts.push(space);
      if (label) parts.push(label);
      else if (tagOf(child) === "INPUT") parts.push(child.type === "hidden" ? "" : child.value);
      else if (tagOf(child) !== "SELECT" && tagOf(child) !== "TEXTAREA") content(child, most, parts);
      parts.push(space);
    } else if (kindOf(child) === 1 && tagOf(child) === "BR") parts.push(" ");
  }
  return parts;
};
const said = (el, most) => clean(content(el, most).join(""));
const nameOf = (el, role, most) => {
  const by = attr(el, "aria-labelledby");
  if (by) {
    const root = rootOf(el);
    const name = clean(by.split(/\s+/).slice(0, 8).map((id) => {
      const other = root.getElementById?.(id);
      return other ? said(other, most) : "";
    }).join(" "));
    if (name) return name;
  }
  const label = attr(el, "aria-label");
  if (label && label.trim()) return clean(label);
  const tag = tagOf(el);
  if (el.labels?.length) {
    const name = clean(Array.from(el.labels).slice(0, 4).map((one) => labelText(one, most)).join(" "));
    if (name) return name;
  }
  let name = "";
  if (tag === "INPUT" && INPUTS[el.type] === "button") {
    name = el.type === "image" ? el.alt : el.value || { submit: "Submit", reset: "Reset" }[el.type] || "";
  } else if (tag === "IMG" || tag === "AREA") name = el.alt || "";
  else if (tag === "FIELDSET") name = part(el, "LEGEND", most);
  else if (tag === "TABLE") name = part(el, "CAPTION", most);
  else if (tag === "OPTGROUP") name = el.label;
  else if (tag === "svg") name = query(el, "title")?.textContent || "";
  else if (tag === "OPTION") name = el.label || el.text;
  else if (NAMED.has(role)) name = said(el, most);
  return clean(name) || clean(attr(el, "title") || "") || clean(attr(el, "placeholder") || "");
};
const part = (el, tag, most) => {
  for (const child of nodesOf(el)) if (kindOf(child) === 1) if (tagOf(child) === tag) return said(child, most);
  return "";
};
// A label without the text of the field it may hold.
const labelText = (label, most) => {
  const field = label.control;
  if (!field || !label.contains(field)) return said(label, most);
  const parts = [];
  for (const child of nodesOf(label)) {
    if (kindOf(child) === 3) parts.push(child.data);
    else if (kindOf(child) === 1 && child !== field && !child.contains(field)) parts.push(" ", said(child, most), " ");
  }
  return clean(parts.join(""));
};

// ---- values and states ----
const valueOf = (el, role, most) => {
  const tag = tagOf(el);
  if (tag === "SELECT") return Array.from(el.selectedOptions).slice(0, 20).map((one) => clean(one.label)).join(", ");
  if (tag === "INPUT") {
    if (!FIELDS.has(role) && role !== "switch") return null;
    if (el.type === "password") return "•".repeat(Math.min(el.value.length, 20));
    if (el.type === "file") return Array.from(el.files || []).map((one) => one.name).join(", ");
    return el.value;
  }
  if (tag === "TEXTAREA") return el.value;
  if (tag === "PROGRESS" || tag === "METER") return has(el, "value") ? String(el.value) : null;
  if (el.isContentEditable && role === "textbox") return clean(el.textContent.slice(0, most));
  if (has(el, "aria-valuetext")) return attr(el, "aria-valuetext");
  if (has(el, "aria-valuenow")) return attr(el, "aria-valuenow");
  return null;
};
const isDisabled = (el) => matches(el, ":disabled") || !!closest(el, '[aria-disabled="true"]');
const statesOf = (el, role, active) => {
  const states = [];
  const tag = tagOf(el);
  const aria = (name) => attr(el, "aria-" + name);
  if (role === "heading") states.push("level=" + (aria("level") || (/^H[1-6]$/.test(tag) ? tag[1] : "2")));
  if (el === active) states.push("focused");
  if (isDisabled(el)) states.push("disabled");
  if (tag === "INPUT" && (el.type === "checkbox" || el.type === "radio")) {
    if (el.indeterminate) states.push("mixed");
    else if (el.checked) states.push("checked");
  } else if (aria("checked") === "true") states.push("checked");
  else if (aria("checked") === "mixed") states.push("mixed");
  if (tag === "OPTION" ? el.selected : aria("selected") === "true") states.push("selected");
  if (tag === "SUMMARY" && parentOf(el) && tagOf(parentOf(el)) === "DETAILS") {
    states.push(parentOf(el).open ? "expanded" : "collapsed");
  } else if (aria("expanded")) states.push(aria("expanded") === "true" ? "expanded" : "collapsed");
  if (aria("pressed") === "true") states.push("pressed");
  if (aria("current") && aria("current") !== "false") states.push("current");
  if (el.required || aria("required") === "true") states.push("required");
  if ((el.readOnly && FIELDS.has(role)) || aria("readonly") === "true") states.push("readonly");
  if (aria("invalid") === "true") states.push("invalid");
  if (tag === "INPUT" && FIELDS.has(role) && !["text", "search", "number", "range", "color", "file"].includes(el.type)) {
    states.push("type=" + el.type);
  }
  if (aria("sort") && aria("sort") !== "none") states.push("sort=" + aria("sort"));
  return states;
};
