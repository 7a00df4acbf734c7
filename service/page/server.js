// Talks to the server: paths relative to the page, the key that was typed, errors as sentences.

const STORED = "sumserve.key"; // page/docs.js reads it too
const PRINTABLE = /^[\x21-\x7e]*$/; // what a header can carry

let held = ""; // where there is no storage

export class Refused extends Error {
  // status: 0 where the server was not reached.
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function key() {
  try {
    return sessionStorage.getItem(STORED) ?? held;
  } catch {
    return held;
  }
}

export function keep(typed) {
  const found = typed.trim();
  if (!PRINTABLE.test(found)) throw new Refused(0, "a key has no spaces and only ASCII letters");
  held = found;
  try {
    sessionStorage.setItem(STORED, found);
  } catch {
    // It is held in memory then.
  }
}

// The response. Raises Refused with what the server says is wrong.
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (key()) headers.set("Authorization", `Bearer ${key()}`);
  const response = await reach(path, { ...options, headers, cache: "no-store" });
  if (!response.ok) throw new Refused(response.status, await complaint(response));
  return response;
}

export async function read(path, options) {
  return (await ask(path, options)).json();
}

// A prediction, and how long it took in milliseconds, the way there and back included.
export async function post(path, body, type = "application/json") {
  const headers = { "Content-Type": type, Accept: "application/json" };
  const started = performance.now();
  const answer = await read(path, { method: "POST", body, headers });
  return { answer, milliseconds: performance.now() - started };
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError" || error.name === "TimeoutError") throw error;
    throw new Refused(0, "the server cannot be reached");
  }
}

async function complaint(response) {
  try {
    return (await response.json()).error ?? `status ${response.status}`;
  } catch {
    return `status ${response.status}`;
  }
}
