// Ten digits as strokes to start from, made for this page: lines through places in cells.

const round = (x, y, rx, ry, from, to) =>
  Array.from({ length: 25 }, (_, i) => {
    const angle = from + ((to - from) * i) / 24;
    return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
  });

const TURN = 2 * Math.PI;

export const SAMPLES = [
  [round(4, 4, 2.1, 3.3, 0, TURN)],
  [
    [
      [2.6, 2.4],
      [4.3, 0.7],
      [4.3, 7.4],
    ],
  ],
  [[...round(3.9, 2.5, 1.8, 1.9, -0.95 * Math.PI, 0.12 * Math.PI), [2.0, 7.2], [6.2, 7.2]]],
  [
    [
      ...round(3.6, 2.3, 1.9, 1.7, -0.85 * Math.PI, 0.45 * Math.PI),
      ...round(3.6, 5.6, 2.1, 1.8, -0.45 * Math.PI, 0.85 * Math.PI),
    ],
  ],
  [
    [
      [4.6, 0.6],
      [1.7, 4.9],
      [6.4, 4.9],
    ],
    [
      [4.7, 3.2],
      [4.5, 7.4],
    ],
  ],
  [
    [
      [5.9, 0.7],
      [2.5, 0.7],
      [2.3, 3.7],
      ...round(3.7, 5.3, 2.0, 2.0, -0.65 * Math.PI, 0.8 * Math.PI),
    ],
  ],
  [[[4.5, 0.6], [2.6, 3.2], ...round(4.0, 5.4, 1.9, 1.9, -0.98 * Math.PI, 1.1 * Math.PI)]],
  [
    [
      [2.0, 0.8],
      [6.0, 0.8],
      [3.6, 7.4],
    ],
    [
      [2.6, 4.1],
      [5.6, 4.1],
    ],
  ],
  [round(4, 2.2, 1.6, 1.6, 0, TURN), round(4, 5.6, 1.8, 1.8, 0, TURN)],
  [[...round(4.0, 2.5, 1.8, 1.8, 0, TURN), [5.7, 4.4], [5.0, 6.4], [3.2, 7.3], [2.2, 6.9]]],
];

// ink: what they are drawn into, cleared first.
export function draw(ink, digit) {
  ink.clear();
  for (const stroke of SAMPLES[digit]) {
    stroke.slice(1).forEach((end, i) => ink.line(stroke[i], end));
  }
}
