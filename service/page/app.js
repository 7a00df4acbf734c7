// The page: what is served, which model is chosen, and the sections that show it.

import { Asking } from "./asking.js";
import { Digits, reads } from "./digits.js";
import { find } from "./dom.js";
import { Live } from "./live.js";
import { cards, elsewhere, recost } from "./models.js";
import { keep, key, read } from "./server.js";
import { titleOf } from "./signature.js";
import { snippets } from "./snippets.js";
import { Tabs } from "./tabs.js";

const EVERY = 10_000; // milliseconds between two looks at what is served
const KEYS = { 401: "one", 403: "another one" }; // what is wanted after which status

const page = { models: [], states: new Map(), chosen: null, drawn: null, shown: "" };
const digits = new Digits();
const asking = new Asking((index) => choose(page.models[index]));
const tabs = new Tabs(find("tabs"), (text) => (find("said").textContent = text));
const live = new Live(state);

function state(text, why = "") {
  const pill = find("state");
  const kind = text === "ready" ? "pill good" : "pill bad";
  if (pill.textContent !== text) Object.assign(pill, { textContent: text, className: kind });
  pill.title = why;
}

function choose(model) {
  page.chosen = model;
  show();
}

function show() {
  const { models, states, chosen } = page;
  const focused = document.activeElement?.dataset?.model;
  find("cards").replaceChildren(...cards(models, states, chosen, choose));
  find("elsewhere").replaceChildren(...elsewhere(models, states));
  if (focused) document.querySelector(`[data-model="${CSS.escape(focused)}"]`)?.focus();
  if (!chosen) return;
  asking.use(models, chosen);
  find("snippet-model").textContent = titleOf(chosen);
  tabs.show(snippets(chosen, base(), Boolean(key())));
}

// Where the server is, as a client would write it.
const base = () => new URL(".", location.href).href.replace(/\/$/, "");

async function look() {
  try {
    const [{ models }, entries] = await Promise.all([
      read("v1/models"),
      read("v2/repository/index", { method: "POST" }),
    ]);
    trouble("");
    find("key").classList.remove("wanted");
    update(models, entries);
  } catch (error) {
    const wanted = KEYS[error.status];
    trouble(wanted ? `${error.message}. Put ${wanted} in above.` : error.message);
    find("key").classList.toggle("wanted", Boolean(wanted));
  }
}

// Nothing is made anew that has not changed: someone may be using it. What is learned of costs
// changes all the time, and is written into the cards that are there.
function update(models, entries) {
  const shown = JSON.stringify([models, entries], lasting);
  if (shown === page.shown) {
    page.models.forEach((model, i) => (model.cost = models[i].cost));
    recost(page.models);
    return;
  }
  const was = page.chosen && titleOf(page.chosen);
  const found = (title) => models.find((model) => titleOf(model) === title);
  Object.assign(page, {
    models,
    shown,
    states: new Map(entries.map((entry) => [titleOf(entry), entry])),
  });
  page.chosen =
    found(was) ?? models.find((model) => model.default && reads(model)) ?? models[0] ?? null;
  find("ask").hidden = find("snippets").hidden = !page.chosen;
  show();
  const drawn = models.find((model) => model.default && reads(model)) ?? null;
  if (page.drawn !== (drawn && titleOf(drawn))) digits.use(drawn);
  page.drawn = drawn && titleOf(drawn);
}

const lasting = (field, value) => (field === "cost" ? undefined : value);

function trouble(text) {
  const place = find("trouble");
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
}

async function about() {
  const { version } = await read("v2");
  find("release").textContent = version;
}

find("key").addEventListener("submit", (event) => {
  event.preventDefault();
  try {
    keep(find("secret").value);
  } catch (error) {
    trouble(error.message);
    return;
  }
  page.shown = "";
  start();
  live.again();
});
find("secret").value = key();

function start() {
  look();
  about().catch(() => {}); // the release is not worth a message: look() has one
}

start();
setInterval(() => document.hidden || look(), EVERY);
