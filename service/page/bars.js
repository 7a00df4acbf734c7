// Probabilities as bars: a table with a row per class, changed in place.

import { percent } from "./answer.js";
import { element } from "./dom.js";

export class Bars {
  constructor(caption, labels) {
    this.rows = labels.map(row);
    const body = this.rows.map((own) => own.line);
    const title = element("caption", { class: "hidden" }, caption);
    this.table = element("table", { class: "bars" }, title, element("tbody", {}, body));
    this.clear();
  }

  // best: the index of the class that is the answer; null for none.
  show(probabilities, best) {
    this.rows.forEach(({ line, bar, text }, i) => {
      line.className = i === best ? "best" : "";
      bar.style.inlineSize = `${100 * probabilities[i]}%`;
      text.textContent = percent(probabilities[i]);
    });
  }

  clear() {
    this.show(
      this.rows.map(() => 0),
      null,
    );
  }
}

function row(label) {
  const bar = element("div", { class: "bar" });
  const text = element("td", { class: "number" });
  const name = element("th", { scope: "row" }, label);
  const track = element("td", {}, element("div", { class: "track" }, bar));
  return { bar, text, line: element("tr", {}, name, track, text) };
}
