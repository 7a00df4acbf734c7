// A drawing as scikit-learn's digits have one: 32x32 dots, and of every 4x4 block how many are set.
// So it is an image of 8x8 cells of ink 0 to 16, and a set of points. Knows no DOM, no server.

export const SIDE = 8;
export const MOST = 16; // of a cell's ink
const BLOCK = 4;
const DOTS = SIDE * BLOCK;
const PEN = 1.9; // radius, in dots
const RUBBER = 3.2;

// The dots of a block from its middle outwards: where a cell gets less than all its ink.
const ORDER = [5, 6, 9, 10, 1, 2, 4, 7, 8, 11, 13, 14, 0, 3, 12, 15];

export class Ink {
  #dots = new Uint8Array(DOTS * DOTS);

  // Of a cell, 0 to 16.
  at(column, row) {
    let sum = 0;
    for (let i = 0; i < MOST; i++) sum += this.#dots[place(column, row, i)];
    return sum;
  }

  // [column, row, ink] of every cell with ink, row by row.
  points() {
    const found = [];
    for (let row = 0; row < SIDE; row++) {
      for (let column = 0; column < SIDE; column++) {
        const ink = this.at(column, row);
        if (ink) found.push([column, row, ink]);
      }
    }
    return found;
  }

  put(column, row, ink) {
    const some = Math.max(0, Math.min(MOST, ink));
    ORDER.forEach((i, rank) => (this.#dots[place(column, row, i)] = rank < some ? 1 : 0));
  }

  // A line between two places [x, y], in cells from the upper left corner.
  line([x0, y0], [x1, y1], rubber = false) {
    const steps = Math.max(1, Math.ceil(2 * BLOCK * Math.hypot(x1 - x0, y1 - y0)));
    for (let i = 0; i <= steps; i++) {
      const part = i / steps;
      this.#disc(BLOCK * (x0 + part * (x1 - x0)), BLOCK * (y0 + part * (y1 - y0)), rubber);
    }
  }

  #disc(x, y, rubber) {
    const radius = rubber ? RUBBER : PEN;
    for (let row = Math.floor(y - radius); row <= y + radius; row++) {
      for (let column = Math.floor(x - radius); column <= x + radius; column++) {
        const inside = Math.hypot(column + 0.5 - x, row + 0.5 - y) <= radius;
        if (inside && onSheet(column, row)) this.#dots[row * DOTS + column] = rubber ? 0 : 1;
      }
    }
  }

  clear() {
    this.#dots.fill(0);
  }

  // Scaled to the height of the sheet and put into its middle, as those that were learned from are.
  fit() {
    const box = this.#box();
    if (!box) return;
    const scale = DOTS / Math.max(box.height, box.width);
    const left = (DOTS - box.width * scale) / 2;
    const upper = (DOTS - box.height * scale) / 2;
    const old = this.#dots.slice();
    this.#dots.fill(0);
    for (let row = 0; row < DOTS; row++) {
      for (let column = 0; column < DOTS; column++) {
        const x = Math.floor((column + 0.5 - left) / scale);
        const y = Math.floor((row + 0.5 - upper) / scale);
        if (x < 0 || y < 0 || x >= box.width || y >= box.height) continue;
        this.#dots[row * DOTS + column] = old[(y + box.top) * DOTS + x + box.start];
      }
    }
  }

  // What is around all dots; null where there are none.
  #box() {
    const set = [...this.#dots.keys()].filter((i) => this.#dots[i]);
    if (!set.length) return null;
    const columns = set.map((i) => i % DOTS);
    const [start, end] = [Math.min(...columns), Math.max(...columns)];
    const [top, bottom] = [Math.floor(set[0] / DOTS), Math.floor(set.at(-1) / DOTS)];
    return { start, top, width: end - start + 1, height: bottom - top + 1 };
  }
}

const place = (column, row, i) =>
  (row * BLOCK + Math.floor(i / BLOCK)) * DOTS + column * BLOCK + (i % BLOCK);

const onSheet = (column, row) => column >= 0 && row >= 0 && column < DOTS && row < DOTS;
