// The live charts: reads /metrics about once a second while the page is visible and not paused.

import { Chart } from "./charts.js";
import { find } from "./dom.js";
import { carried, gained, largest, mean, parse, quantile, total, valuesOf } from "./metrics.js";
import { ask, Refused } from "./server.js";

const EVERY = 1000; // milliseconds between two readings
const WINDOW = 10; // readings that quantiles and step sizes are of
const PATIENCE = 5000;
const RATE = 3; // readings that rates are of

const named = ({ model }) => model !== ""; // requests for a model, not those of this page
const computed = ({ outcome }) => outcome === "computed";

// now, earlier: a page as `metrics` reads it, and when in milliseconds.
const perSecond =
  (name, keep) =>
  (now, { rate }) => [(1000 * gained(rate.page, now.page, name, keep)) / (now.at - rate.at)];
const quantiles =
  (name) =>
  (now, { window }) =>
    [0.5, 0.99].map((q) => thousandfold(quantile(window.page, now.page, name, q)));
const thousandfold = (value) => (value === null ? null : 1000 * value);

const CHARTS = [
  { title: "Requests", unit: "per second", of: perSecond("sumserve_requests_total", named) },
  { title: "Tokens", unit: "per second", of: perSecond("sumserve_tokens_total", computed) },
  { title: "Open", unit: "requests", of: (now) => [total(now.page, "sumserve_open_requests")] },
  {
    title: "Step size",
    unit: "tokens, mean",
    of: (now, { window }) => [mean(window.page, now.page, "sumserve_step_tokens")],
  },
  { title: "Queue", unit: "tokens", of: (now) => [total(now.page, "sumserve_queued_tokens")] },
  // Workers work side by side: what waits is done when the last of them is.
  {
    title: "Queue, expected",
    unit: "ms until done",
    of: (now) => [thousandfold(largest(now.page, "sumserve_expected_wait_seconds"))],
  },
  { title: "Waiting, ms", series: ["p50", "p99"], of: quantiles("sumserve_queue_seconds") },
  {
    title: "Computing, ms",
    series: ["p50", "p99"],
    of: quantiles("sumserve_compute_seconds"),
  },
];

export class Live {
  // told: is called with "ready", "not ready" or why nothing is known, and the reason of that.
  constructor(told) {
    this.told = told;
    this.read = [];
    this.timer = null;
    this.paused = false;
    this.charts = CHARTS.map((about) => new Chart(about));
    find("charts").replaceChildren(...this.charts.map((chart) => chart.figure));
    find("pause").addEventListener("click", () => this.#pause());
    document.addEventListener("visibilitychange", () => this.#next(0));
    this.#next(0);
  }

  // Once more, now: the key or the server may be another.
  again() {
    this.#next(0);
  }

  #pause() {
    this.paused = !this.paused;
    find("pause").setAttribute("aria-pressed", String(this.paused));
    this.#next(0);
  }

  #next(milliseconds) {
    clearTimeout(this.timer);
    if (document.hidden || this.paused) return;
    this.timer = setTimeout(() => this.#reading(), milliseconds);
  }

  async #reading() {
    try {
      const response = await ask("metrics", { signal: AbortSignal.timeout(PATIENCE) });
      const page = carried(this.read.at(-1)?.page, parse(await response.text()));
      this.#add({ page, at: performance.now() });
    } catch (error) {
      this.told(trouble(error), error.message);
    }
    this.#next(EVERY);
  }

  #add(now) {
    const readings = this.read;
    if (readings.length) {
      const earlier = { rate: readings.at(-RATE) ?? readings[0], window: readings[0] };
      this.charts.forEach((chart, i) => chart.add(...CHARTS[i].of(now, earlier)));
    }
    readings.push(now);
    if (readings.length > WINDOW) readings.shift();
    this.told(Math.min(...valuesOf(now.page, "sumserve_ready")) === 1 ? "ready" : "not ready");
  }
}

// In a few words. Whoever has answered was reached, whatever the answer.
function trouble(error) {
  if (!(error instanceof Refused) || !error.status) return "not reached";
  return error.status === 401 ? "wants a key" : `answered ${error.status}`;
}
