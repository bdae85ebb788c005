// Linear resizing, as jaxcolor/refine.py does it. Planes are flat arrays, row after row.

/**
 * A matrix most of whose numbers are zero: of each row the first column that is none, and what
 * stands from there on.
 *
 * @typedef {{starts: Int32Array, weights: Float64Array[], size: number}} Matrix
 */

/**
 * Triangles of weights round centres, cut at the border, each with the sum 1.
 *
 * @param {number[]} centres in samples
 * @param {number} size of the axis, in samples
 * @param {number} scale samples from one centre to the next
 * @returns {Matrix} a row for each centre
 */
export function triangles(centres, size, scale) {
  const reach = Math.max(scale, 1);
  const starts = new Int32Array(centres.length);
  const weights = [...centres].map((centre, i) => {
    const first = Math.max(0, Math.floor(centre - reach) + 1);
    const last = Math.min(size - 1, Math.ceil(centre + reach) - 1);
    const row = new Float64Array(Math.max(0, last - first + 1));
    let sum = 0;
    for (let k = 0; k < row.length; k++) sum += row[k] = 1 - Math.abs(first + k - centre) / reach;
    starts[i] = first;
    return row.map((weight) => weight / sum);
  });
  return { starts, weights, size };
}

const numbers = (count, each) => Float64Array.from({ length: count }, (_, i) => each(i));

/** The matrix of linear resizing of the part of an axis from `start` to `end`, shares of it. */
export function resizing(size, newSize, start = 0, end = 1) {
  const scale = (size * (end - start)) / newSize;
  return triangles(numbers(newSize, (i) => size * start + (i + 0.5) * scale - 0.5), size, scale);
}

/** What is applied to an axis before its taps are taken, so that making it smaller averages. */
export function averaging(size, newSize) {
  return triangles(numbers(size, (i) => i), size, size / newSize);
}

/** The matrix that puts a part's samples back into the whole axis, times `inside`. */
export function puttingBack(size, whole, start, end, inside) {
  const scale = size / (whole * (end - start));
  const first = (size * start) / (end - start);
  const place = (i) => Math.min(size - 1, Math.max(0, (i + 0.5) * scale - first - 0.5));
  const made = triangles(numbers(whole, place), size, scale);
  const weights = made.weights.map((row, i) => row.map((weight) => weight * inside[i]));
  return { ...made, weights };
}

/**
 * Where each pixel of an axis lies between the samples of the small picture.
 *
 * @returns {{before: Int32Array, after: Int32Array, share: Float32Array}} share: of the one after it
 */
export function taps(size, newSize) {
  const place = numbers(newSize, (i) => (i + 0.5) * (size / newSize) - 0.5);
  const sample = (by) => (at) => Math.min(size - 1, Math.max(0, Math.floor(at) + by));
  return {
    before: Int32Array.from(place, sample(0)),
    after: Int32Array.from(place, sample(1)),
    share: Float32Array.from(place, (at) => at - Math.floor(at)),
  };
}

/** Rows of a large picture, one after the other, become a small one. */
export class Shrinking {
  /**
   * @param {Matrix} rows
   * @param {Matrix} columns
   */
  constructor(rows, columns) {
    Object.assign(this, { rows, columns, y: 0, first: 0 });
    this.width = columns.starts.length;
    this.small = new Float32Array(rows.starts.length * this.width);
    this.total = new Float64Array(this.small.length);
    this.line = new Float64Array(this.width);
  }

  /** The next row. */
  add(row) {
    const { rows, columns, line, total, width, y } = this;
    for (let j = 0; j < width; j++) {
      const weights = columns.weights[j];
      const start = columns.starts[j];
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * row[start + k];
      line[j] = sum;
    }
    for (let i = this.first; i < rows.starts.length && rows.starts[i] <= y; i++) {
      const k = y - rows.starts[i];
      if (k >= rows.weights[i].length) {
        if (i === this.first) this.first++; // nothing more comes for it
        continue;
      }
      const weight = rows.weights[i][k];
      for (let j = 0; j < width; j++) total[i * width + j] += weight * line[j];
    }
    this.y++;
  }

  /** Once all rows are there. */
  done() {
    this.small.set(this.total);
    return this.small;
  }
}

/** A plane, resized each way. */
export function resized(plane, rows, columns) {
  const shrinking = new Shrinking(rows, columns);
  for (let y = 0; y < rows.size; y++) {
    shrinking.add(plane.subarray(y * columns.size, (y + 1) * columns.size));
  }
  return shrinking.done();
}
