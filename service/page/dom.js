// Elements out of tags, attributes and children. Text goes in as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg"; // the namespace's name, nothing is loaded from there

export const find = (id) => document.getElementById(id);

// attributes: "onclick" and the like are listeners; null and false are left out.
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function drawing(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

// A table with a caption and a header row; rows: lists of cells, the first of each heads its row.
export function table(caption, columns, rows) {
  const head = columns.map((name) => element("th", { scope: "col" }, name));
  const body = rows.map(([first, ...others]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, first),
      others.map((cell) => element("td", {}, cell)),
    ),
  );
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, head)),
    element("tbody", {}, body),
  );
}

// Something wide or long in a box that scrolls, also by keyboard.
export function scroll(label, ...children) {
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    children,
  );
}
