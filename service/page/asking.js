// The section where files are dropped: asks the chosen model and shows the answer.

import { tables } from "./answer.js";
import { Unreadable } from "./csv.js";
import { element, find } from "./dom.js";
import { bodyOf } from "./files.js";
import { post, Refused } from "./server.js";
import { columnsOf, example, pathOf, titleOf } from "./signature.js";

export class Asking {
  // chosen: is called with the index of the model that is picked in the list.
  constructor(chosen) {
    this.model = null;
    this.asks = 0; // how often was asked; an answer counts while nothing was since
    find("model").addEventListener("change", (event) => chosen(event.target.selectedIndex));
    find("file").addEventListener("change", ({ target }) => {
      this.#file(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    });
    find("example").addEventListener("click", () => this.#ask("The example", body));
    const drop = find("drop");
    for (const [name, over] of [
      ["dragenter", true],
      ["dragover", true],
      ["dragleave", false],
      ["drop", false],
    ]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", over);
      });
    }
    drop.addEventListener("drop", (event) => this.#file(event.dataTransfer.files[0]));
  }

  use(models, model) {
    const options = models.map((one) => element("option", {}, titleOf(one)));
    find("model").replaceChildren(...options);
    find("model").selectedIndex = models.indexOf(model);
    if (!this.model || titleOf(this.model) !== titleOf(model)) this.#forget(model);
    this.model = model;
  }

  #forget(model) {
    this.asks += 1;
    find("forms").replaceChildren(forms(model));
    find("answer").replaceChildren();
    this.#say("Nothing has been asked yet.");
  }

  #file(file) {
    if (file && this.model) this.#ask(file.name, (model) => bodyOf(file, model));
  }

  // make: of a model, the body and its type. Whoever has asked again, or chosen another model, does
  // not see what comes of it.
  async #ask(what, make) {
    const { model } = this;
    const mine = (this.asks += 1);
    this.#say(`${what}: asking ${titleOf(model)} …`);
    const { shown, said, bad } = await outcome(model, make);
    if (mine !== this.asks) return;
    find("answer").replaceChildren(...shown);
    this.#say(`${what}: ${said}`, bad);
  }

  #say(text, bad = false) {
    find("asked").textContent = text;
    find("asked").className = bad ? "bad" : "note";
  }
}

// What to show, and what to say of it. Every error is said, so that nobody waits for ever.
async function outcome(model, make) {
  try {
    const { body: sent, type } = await make(model);
    const { answer, milliseconds } = await post(pathOf(model, "predict"), sent, type);
    const said = sentence(answer.usage, milliseconds);
    return { shown: tables(model, answer), said, bad: false };
  } catch (error) {
    const expected = error instanceof Refused || error instanceof Unreadable;
    const said = expected ? error.message : `this went wrong in the page: ${error.message}`;
    return { shown: [], said, bad: true };
  }
}

const body = (model) => ({
  body: JSON.stringify({ sequences: example(model) }),
  type: "application/json",
});

function sentence({ sequences, tokens, queue_ms: queue, compute_ms: compute }, milliseconds) {
  const many = `${sequences} ${sequences === 1 ? "sequence" : "sequences"}, ${tokens} tokens`;
  const server = `${queue.toFixed(1)} ms in the queue, ${compute.toFixed(1)} ms computed`;
  return `${many}, answered in ${milliseconds.toFixed(0)} ms (${server}).`;
}

// What a file for this model holds, in each of the forms.
function forms(model) {
  const names = columnsOf(model).flatMap(cells).join(",");
  const one = columnsOf(model).length === 1;
  const [column] = model.columns;
  const shape =
    column.kind === "vector"
      ? `(n, ${column.width}) or (batch, n, ${column.width})`
      : "(n,) or (batch, n)";
  const said = [
    [
      "CSV",
      [
        "a line of names and a line per token: ",
        element("code", {}, names),
        ". A column ",
        element("code", {}, "sequence"),
        " or an empty line tells sequences apart.",
      ],
    ],
    ["NPY", one ? [`an array of shape ${shape}.`] : ["not for models of several columns."]],
    [
      "JSON",
      [
        element(
          "code",
          {},
          one ? '{"sequences": [[…], …]}' : '{"sequences": [{"column": […], …}, …]}',
        ),
        ".",
      ],
    ],
    ["Arrow stream", ["a row per sequence, a list column per column of the model."]],
  ];
  return element(
    "dl",
    {},
    said.flatMap(([term, parts]) => [element("dt", {}, term), element("dd", {}, parts)]),
  );
}

function cells(column) {
  if (column.kind !== "vector") return [column.name];
  if (column.width > 4) return [`${column.name}[0]`, "…", `${column.name}[${column.width - 1}]`];
  return Array.from({ length: column.width }, (_, k) => `${column.name}[${k}]`);
}
