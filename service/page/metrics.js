// Prometheus' text format as numbers: totals, what counters gained, quantiles of histograms.
// Series of several workers differ in a label and are added up. Knows no DOM, no server.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

const UP = "sumserve_worker_up"; // of several workers: 1 while one answers the others
const COUNTED = /_(total|count|sum|bucket)$/; // names of what only grows

export const anything = () => true;

// Metric's name -> series -> {labels, value}.
export function parse(text) {
  const page = new Map();
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (!found) continue;
    const [, name, labels = "", value] = found;
    if (!page.has(name)) page.set(name, new Map());
    page.get(name).set(labels, { labels: labelsOf(labels), value: numberOf(value) });
  }
  return page;
}

function labelsOf(text) {
  const found = {};
  for (const [, name, value] of text.matchAll(LABEL)) {
    found[name] = value.replace(/\\[n"\\]/g, (escaped) => ESCAPED[escaped]);
  }
  return found;
}

function numberOf(text) {
  if (text === "+Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}

const seriesOf = (page, name, keep) =>
  [...(page.get(name) ?? [])].filter(([, series]) => keep(series.labels));

// The values of a metric; none where the page has none. keep: labels -> whether they count.
export const valuesOf = (page, name, keep = anything) =>
  seriesOf(page, name, keep).map(([, { value }]) => value);

export const total = (page, name, keep = anything) =>
  valuesOf(page, name, keep).reduce((sum, value) => sum + value, 0);

export const largest = (page, name, keep = anything) => Math.max(0, ...valuesOf(page, name, keep));

// A page in which counters of a worker that did not answer are as the page before has them: so it
// does not gain all it has ever counted when it answers again. If it was started anew, they are
// smaller then. Gauges are not carried over: how they are now is not known.
export function carried(before, page) {
  const there = workersOf(page);
  for (const [name, old] of before ?? []) {
    if (!COUNTED.test(name)) continue;
    const missing = [...old].filter(([, { labels }]) => labels.worker && !there.has(labels.worker));
    if (missing.length) page.set(name, new Map([...(page.get(name) ?? []), ...missing]));
  }
  return page;
}

// Those that have a series: one that does not answer has none but that it is not up.
function workersOf(page) {
  const every = [...page].filter(([name]) => name !== UP).flatMap(([, own]) => [...own.values()]);
  return new Set(every.map(({ labels }) => labels.worker));
}

// What counters have gained from one page to a later one. One that is smaller began anew. One that
// the earlier page does not have began since, unless that page has nothing of its worker, which may
// have counted for long.
export function gained(before, after, name, keep = anything) {
  return gains(before, after, name, keep).reduce((sum, { gain }) => sum + gain, 0);
}

function gains(before, after, name, keep) {
  const old = before.get(name) ?? new Map();
  const there = workersOf(before);
  return seriesOf(after, name, keep).map(([key, { labels, value }]) => {
    const was = old.get(key)?.value ?? (there.has(labels.worker) ? 0 : value);
    return { labels, gain: value < was ? value : value - was };
  });
}

// The mean of what a histogram was told between two pages; null where it was nothing.
export function mean(before, after, name, keep = anything) {
  const count = gained(before, after, `${name}_count`, keep);
  return count ? gained(before, after, `${name}_sum`, keep) / count : null;
}

// A quantile of the same, as Prometheus' histogram_quantile has it: linear within a bucket.
export function quantile(before, after, name, q, keep = anything) {
  const buckets = new Map();
  for (const { labels, gain } of gains(before, after, `${name}_bucket`, keep)) {
    const bound = numberOf(labels.le);
    buckets.set(bound, (buckets.get(bound) ?? 0) + gain);
  }
  const ordered = [...buckets].sort((a, b) => a[0] - b[0]);
  const all = ordered.at(-1)?.[1] ?? 0;
  if (!all) return null;
  let [lower, below] = [0, 0];
  for (const [bound, count] of ordered) {
    if (count >= q * all) {
      if (bound === Infinity) return lower;
      return lower + ((bound - lower) * (q * all - below)) / Math.max(count - below, 1e-9);
    }
    [lower, below] = [bound, count];
  }
  return lower;
}
