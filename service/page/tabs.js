// Texts to copy, one shown at a time, behind tabs that work with arrow keys.

import { element, find } from "./dom.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

export class Tabs {
  // root: the element they are put into; said: is told when something was copied.
  constructor(root, said) {
    Object.assign(this, { root, said });
    this.chosen = 0;
  }

  // texts: [{name, text}], always as many.
  show(texts) {
    this.texts = texts;
    const focused = this.root.contains(document.activeElement) && document.activeElement.id;
    const list = element(
      "div",
      { role: "tablist", "aria-label": "Snippets" },
      texts.map((own, i) => this.#tab(own, i)),
    );
    list.addEventListener("keydown", (event) => this.#key(event));
    this.root.replaceChildren(list, this.#panel(texts[this.chosen]));
    if (focused) find(focused)?.focus();
  }

  #tab({ name }, i) {
    const selected = i === this.chosen;
    const state = { "aria-selected": String(selected), tabindex: selected ? "0" : "-1" };
    const attributes = {
      type: "button",
      role: "tab",
      id: `tab-${i}`,
      "aria-controls": "tab-panel",
      ...state,
    };
    return element("button", { ...attributes, onclick: () => this.#choose(i) }, name);
  }

  #panel({ name, text }) {
    const copy = element(
      "button",
      { type: "button", class: "copy", id: "copy", onclick: () => this.#copy(name, text) },
      "Copy",
    );
    const code = element("pre", { tabindex: "0", "aria-label": name }, element("code", {}, text));
    const attributes = {
      role: "tabpanel",
      id: "tab-panel",
      "aria-labelledby": `tab-${this.chosen}`,
    };
    return element("div", attributes, copy, code);
  }

  #choose(i) {
    this.chosen = i;
    this.show(this.texts);
    find(`tab-${i}`).focus();
  }

  #key(event) {
    const count = this.texts.length;
    const wanted = { Home: 0, End: count - 1 }[event.key] ?? null;
    const step = STEPS[event.key];
    if (wanted === null && !step) return;
    event.preventDefault();
    this.#choose(wanted ?? (this.chosen + step + count) % count);
  }

  async #copy(name, text) {
    try {
      await navigator.clipboard.writeText(text);
      this.said(`${name}: copied`);
      find("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(this.root.querySelector("pre")); // no clipboard without TLS
      this.said(`${name}: selected, to be copied`);
      find("copy").textContent = "Selected";
    }
  }
}
