// The drawing board: shows ink and what each point weighs, and is drawn on by hand or by keyboard.

import { MOST, SIDE } from "./ink.js";

const STEP = 4; // of ink, by plus and minus
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const RUBBER_BUTTON = 32; // of a pen with an eraser at its other end
const COLOURS = ["surface", "sunken", "line", "ink", "accent", "for", "against"];

export class Board {
  // changed: is called when the ink has; said: with what the cell under the cursor is.
  constructor(canvas, ink, changed, said) {
    Object.assign(this, { canvas, ink, changed, said });
    this.cursor = [3, 3];
    this.weights = new Map();
    this.rubber = false;
    this.last = null;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => (this.last = null));
    }
    canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const event of ["focus", "blur"]) canvas.addEventListener(event, () => this.paint());
    new ResizeObserver(() => this.paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  // weights: "column,row" -> -1 to 1.
  weigh(weights) {
    this.weights = weights;
    this.paint();
  }

  #down(event) {
    if (event.button > 0 && event.buttons !== RUBBER_BUTTON) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.#where(event);
    this.#stroke(this.last, event);
  }

  #move(event) {
    if (!this.last) return;
    for (const one of event.getCoalescedEvents?.() ?? [event])
      this.#stroke(this.#where(one), event);
  }

  #stroke(to, event) {
    this.ink.line(this.last, to, this.rubber || event.buttons === RUBBER_BUTTON);
    this.last = to;
    this.#inked();
  }

  #where(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      (SIDE * (event.clientX - box.left)) / box.width,
      (SIDE * (event.clientY - box.top)) / box.height,
    ];
  }

  #inked() {
    this.paint();
    this.changed();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    const ink = this.ink.at(...this.cursor);
    const wanted = {
      " ": ink ? 0 : MOST,
      "+": ink + STEP,
      "=": ink + STEP,
      "-": ink - STEP,
      Delete: 0,
      Backspace: 0,
    };
    if (!arrow && !(event.key in wanted)) return;
    event.preventDefault();
    if (arrow) {
      this.cursor = this.cursor.map((at, i) => Math.max(0, Math.min(SIDE - 1, at + arrow[i])));
      this.paint();
    } else {
      this.ink.put(...this.cursor, wanted[event.key]);
      this.#inked();
    }
    this.#tell();
  }

  #tell() {
    const [column, row] = this.cursor;
    const ink = this.ink.at(column, row);
    this.said(`Column ${column + 1}, row ${row + 1}: ${ink ? `ink ${ink} of ${MOST}` : "empty"}`);
  }

  paint() {
    const { canvas } = this;
    const size = Math.round(canvas.clientWidth * devicePixelRatio);
    if (!size) return;
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const style = getComputedStyle(canvas);
    const colours = Object.fromEntries(
      COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`)]),
    );
    const pen = canvas.getContext("2d");
    pen.fillStyle = colours.sunken;
    pen.fillRect(0, 0, size, size);
    this.#cells(pen, size / SIDE, colours);
    this.#discs(pen, size / SIDE, colours);
    if (document.activeElement === canvas) this.#frame(pen, size / SIDE, colours);
  }

  #cells(pen, cell, colours) {
    const gap = cell * 0.04;
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) {
        const box = [column * cell + gap, row * cell + gap, cell - 2 * gap, cell - 2 * gap];
        pen.fillStyle = colours.surface;
        rounded(pen, box, cell * 0.12);
        pen.globalAlpha = (0.85 * this.ink.at(column, row)) / MOST;
        pen.fillStyle = colours.ink;
        rounded(pen, box, cell * 0.12);
        pen.globalAlpha = 1;
      }
    }
  }

  // Full discs speak for the answer, rings against it; each on a plate, to be seen on any ink.
  #discs(pen, cell, colours) {
    for (const [column, row] of this.ink.points()) {
      const weight = this.weights.get(`${column},${row}`) ?? 0;
      const radius = cell * 0.34 * Math.sqrt(Math.abs(weight));
      if (radius < cell * 0.05) continue;
      const centre = [(column + 0.5) * cell, (row + 0.5) * cell];
      disc(pen, centre, radius + cell * 0.06, colours.surface);
      disc(pen, centre, radius, weight > 0 ? colours.for : colours.against);
      if (weight < 0) disc(pen, centre, radius * 0.5, colours.surface);
    }
  }

  #frame(pen, cell, colours) {
    const [column, row] = this.cursor;
    pen.strokeStyle = colours.accent;
    pen.lineWidth = Math.max(3, cell * 0.08);
    const inset = pen.lineWidth / 2;
    pen.strokeRect(column * cell + inset, row * cell + inset, cell - 2 * inset, cell - 2 * inset);
  }
}

function rounded(pen, box, radius) {
  pen.beginPath();
  pen.roundRect(...box, radius);
  pen.fill();
}

function disc(pen, [x, y], radius, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}
