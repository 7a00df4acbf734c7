// The list of what is served: a card per version. It knows no requests, only what they answered.

import { element, scroll, table } from "./dom.js";
import {
  columnsOf,
  describeColumn,
  describeCost,
  describeLengths,
  describeOutput,
  many,
  titleOf,
} from "./signature.js";

// states: "name/version" -> of the repository's index; choose: is called with a model.
export function cards(models, states, chosen, choose) {
  return models.map((model) => element("li", {}, card(model, states, chosen, choose)));
}

function card(model, states, chosen, choose) {
  const picked = model === chosen;
  const title = element("h3", {}, model.name, element("span", {}, `/${model.version}`));
  return element(
    "article",
    { class: picked ? "card chosen" : "card", "aria-label": titleOf(model) },
    element("header", {}, title, badges(model, states)),
    element(
      "dl",
      {},
      facts(model).flatMap(([term, ...said]) => [
        element("dt", {}, term),
        said.flat().map((one) => element("dd", { class: term }, one)),
      ]),
    ),
    element(
      "button",
      {
        type: "button",
        "data-model": titleOf(model),
        "aria-pressed": String(picked),
        "aria-label": `Ask ${titleOf(model)}`,
        onclick: () => choose(model),
      },
      picked ? "Chosen below" : "Choose",
    ),
  );
}

// What versions cost, in the cards that are there: it changes with every step that is run.
export function recost(models) {
  const fields = document.querySelectorAll("#cards dd.costs");
  models.forEach(({ cost }, i) => {
    const text = describeCost(cost);
    if (fields[i].textContent !== text) fields[i].textContent = text;
  });
}

function badges(model, states) {
  const state = states.get(titleOf(model))?.state;
  const failing = state && state !== "READY";
  return [
    model.default ? element("span", { class: "pill" }, "default") : null,
    model.aliases.map((alias) => element("span", { class: "pill" }, alias)),
    failing ? element("span", { class: "pill bad" }, state.toLowerCase()) : null,
  ].flat();
}

function facts(model) {
  const { architecture: own } = model;
  const streams =
    model.streaming &&
    `${model.streaming.passes} ${model.streaming.passes === 1 ? "pass" : "passes"}`;
  return [
    [
      "reads",
      columnsOf(model).map((column) =>
        named(column.name, describeColumn(column) + contextual(model, column)),
      ),
    ],
    ["answers", model.outputs.map((output) => named(output.name, describeOutput(output)))],
    ["lengths", describeLengths(model)],
    ["costs", describeCost(model.cost)],
    ["streams", streams || "no, whole sequences only"],
    ["is", `${own.name}, ${many(own.layers, "layer")}, ${many(own.parameters, "parameter")}`],
    ["verified", element("code", {}, model.verification)],
  ];
}

const contextual = (model, column) => (model.context.includes(column) ? ", one per sequence" : "");

const named = (name, what) => element("span", {}, element("code", {}, name), `: ${what}`);

// What lies in the repository and is not served; nothing where all is.
export function elsewhere(models, states) {
  const served = new Set(models.map(titleOf));
  const rows = [...states]
    .filter(([title]) => !served.has(title))
    .map(([title, entry]) => [title, entry.state.toLowerCase(), entry.reason]);
  if (!rows.length) return [];
  return [
    scroll(
      "Not served",
      table("In the repository, and not served", ["Version", "State", "Why"], rows),
    ),
  ];
}
