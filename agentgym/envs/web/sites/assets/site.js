// What the bundled sites do in the page itself: dialogs, tabs, suggestions, variants. No state outside of the DOM.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// <button data-opens="ID"> opens <dialog id="ID">; <button data-closes> closes its own.
for (const button of all("[data-opens]"))
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
for (const button of all("[data-closes]"))
  button.addEventListener("click", () => button.closest("dialog").close());

// [role=tab aria-controls="ID"] shows one panel and hides the others.
for (const list of all("[role=tablist]")) {
  const tabs = all("[role=tab]", list);
  for (const tab of tabs)
    tab.addEventListener("click", () => {
      for (const other of tabs) {
        other.setAttribute("aria-selected", String(other === tab));
        document.getElementById(other.getAttribute("aria-controls")).hidden = other !== tab;
      }
    });
}

// <input data-suggests="/path"> with an empty [role=listbox] after it: asks /path?q=... for a list of names.
for (const input of all("[data-suggests]")) {
  const box = input.parentElement.querySelector("[role=listbox]");
  let asked = 0;
  const hide = () => { box.hidden = true; box.replaceChildren(); input.setAttribute("aria-expanded", "false"); };
  input.addEventListener("input", async () => {
    const mine = ++asked;
    if (!input.value.trim()) return hide();
    const answer = await fetch(input.dataset.suggests + "?q=" + encodeURIComponent(input.value));
    const names = await answer.json();
    if (mine !== asked) return;
    box.replaceChildren(...names.map((name) => {
      const item = document.createElement("li");
      item.setAttribute("role", "option");
      item.textContent = name;
      item.addEventListener("click", () => { input.value = name; asked++; hide(); });
      return item;
    }));
    box.hidden = names.length === 0;
    input.setAttribute("aria-expanded", String(names.length > 0));
  });
}

// A product's variants: the list is JSON in the page; price, stock and the button follow the choice.
const chooser = document.querySelector("form[data-variants]");
if (chooser) {
  const variants = JSON.parse(document.getElementById(chooser.dataset.variants).textContent);
  const show = () => {
    const fields = new FormData(chooser);
    const chosen = variants.find((v) => v.colour === fields.get("colour") && v.size === (fields.get("size") ?? ""));
    document.getElementById("stock").textContent =
      !chosen ? "Not offered in this size and colour" : chosen.stock ? `In stock: ${chosen.stock}` : "Out of stock";
    document.getElementById("price").textContent = chosen ? chosen.price : "";
    chooser.querySelector("button[type=submit]").disabled = !chosen || !chosen.stock;
  };
  chooser.addEventListener("change", show);
  show();
}

// <input type=checkbox data-ticks="name"> ticks all boxes of that name.
for (const box of all("[data-ticks]"))
  box.addEventListener("change", () => {
    for (const other of all(`input[name="${box.dataset.ticks}"]`)) other.checked = box.checked;
  });

// <button data-reveals="ID"> shows what is hidden.
for (const button of all("[data-reveals]"))
  button.addEventListener("click", () => { document.getElementById(button.dataset.reveals).hidden = false; });
