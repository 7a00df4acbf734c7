// What each point weighs: the change of the probabilities when it is left out, all less without it.
//
// Asked of /explain; where that is not to be had, all sets without a point go to /predict in one
// request, packed. Knows no DOM, and of a model only that it classifies sequences of one column.

import { post } from "./server.js";
import { pathOf } from "./signature.js";

const NEVER = [401, 403, 404, 405]; // then it is not asked again

export class Weights {
  #most = Infinity; // points that may be explained

  constructor(model) {
    this.model = model;
    this.least = Math.max(model.min_length, 1);
  }

  // {label, probabilities, changes: per point and class or null, usage, milliseconds, how}.
  async of(points) {
    const alone = points.length <= this.least; // none may be left out
    const asked = alone || points.length > this.#most ? null : await this.#explained(points);
    return (
      asked ?? this.#counted(points, alone ? [] : points.map((_, i) => points.toSpliced(i, 1)))
    );
  }

  async #counted(points, without) {
    const found = await this.#asked("predict", [points, ...without]);
    const [whole, ...others] = found.answer.probabilities;
    const changes = others.map((own) => own.map((probability, k) => whole[k] - probability));
    return read(found, changes.length ? changes : null, "predict");
  }

  // Null where it cannot be had.
  async #explained(points) {
    try {
      const found = await this.#asked("explain", [points]);
      const changes = found.answer.probability_changes?.[0];
      return changes?.length === points.length ? read(found, changes, "explain") : null;
    } catch (error) {
      if (NEVER.includes(error.status)) this.#most = 0;
      else if (error.status === 400) this.#most = points.length - 1;
      else throw error;
      return null;
    }
  }

  #asked(what, sequences) {
    return post(pathOf(this.model, what), JSON.stringify({ sequences }));
  }
}

// An answer's first sequence.
function read({ answer, milliseconds }, changes, how) {
  const [label] = answer.labels;
  const [probabilities] = answer.probabilities;
  return { label, probabilities, changes, usage: answer.usage, milliseconds, how };
}
