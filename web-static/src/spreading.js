// The colours that the user knows, spread over the small picture, as jaxcolor/predict/spread.py does
// it; there stands why. `facts` are that module's numbers.

import { fromHex, rgbToLab } from "../../jaxcolor/web/page/static/lab.js";

// Steps to a cell: from above it, the left, above left, above right; and those backwards.
const STEPS = [[1, 0], [0, 1], [1, 1], [1, -1], [-1, 0], [0, -1], [-1, -1], [-1, 1]];

/**
 * The chroma with the colours of the hints.
 *
 * @param {{shape: number[], light: Float32Array, a: Float32Array, b: Float32Array}} small
 * @param {Object[]} hints as the API has them: x, y, colour, radius
 * @param {number[]} photo its height and width
 * @returns {{a: Float32Array, b: Float32Array}}
 */
export function spread({ shape, light, a, b }, hints, photo, facts) {
  const [height, width] = shape;
  const spots = sorted(hints).map((hint) => spotOf(hint, shape, a, b, facts));
  const far = facts.MOST * facts.LABELS;
  const costs = costsOf(light, shape, photo, facts);
  const nearest = new Int32Array(light.length).fill(far);
  spots.forEach(({ cells }, i) => {
    for (const cell of cells) nearest[cell] = Math.min(nearest[cell], i);
  });
  relax(nearest, costs, shape, null, facts);
  const second = new Int32Array(light.length).fill(far);
  relax(second, costs, shape, nearest, facts);

  const long = Math.max(...photo);
  const falling = (t) => (t <= 0 ? 1 : t >= 1 ? 0 : (1 - t) ** 2 * (1 + 2 * t));
  const distance = (key) => Math.floor(key / facts.LABELS) / facts.MOST;
  const reached = (key, y, x) => {
    const spot = spots[key % facts.LABELS];
    const away = Math.hypot(((y - spot.y) * photo[0]) / long, ((x - spot.x) * photo[1]) / long);
    const off = (distance(key) - facts.PLATEAU) / (1 - facts.PLATEAU);
    return falling(off) * falling((2 * away) / spot.radius - 1);
  };
  const made = { a: a.slice(), b: b.slice() };
  for (let cell = 0; cell < light.length; cell++) {
    const keys = [nearest[cell], second[cell]];
    if (keys[0] >= far) continue;
    const [y, x] = [(Math.floor(cell / width) + 0.5) / height, ((cell % width) + 0.5) / width];
    const [w, v] = keys.map((key) => (key < far ? reached(key, y, x) : 0));
    const [near, other] = keys.map((key) => Math.max(distance(key), 1e-6));
    const share = (near / other) ** 2 / 2;
    const parts = [
      [keys[0], w * (1 - share * v)],
      [keys[1], v * (1 - (1 - share) * w)],
    ];
    let [kept, da, db] = [1, 0, 0];
    for (const [key, weight] of parts) {
      if (!weight) continue;
      const spot = spots[key % facts.LABELS];
      kept -= weight * spot.replaced;
      da += weight * spot.offset[0];
      db += weight * spot.offset[1];
    }
    made.a[cell] = a[cell] * kept + da;
    made.b[cell] = b[cell] * kept + db;
  }
  return made;
}

// In an order that is not the user's.
function sorted(hints) {
  const order = ({ y, x, radius, colour }) => [y, x, radius ?? Infinity, colour];
  return [...hints].sort((one, other) => {
    const [p, q] = [order(one), order(other)];
    const i = p.findIndex((value, k) => value !== q[k]);
    return i < 0 ? 0 : p[i] < q[i] ? -1 : 1;
  });
}

/** What a hint adds to the chroma, and which share of the automatic one it takes away. */
function spotOf({ x, y, radius, colour }, shape, a, b, { REPLACES, HALF, NEUTRAL, KEEP }) {
  const [rows, columns] = [touched(y, shape[0]), touched(x, shape[1])];
  const cells = rows.flatMap((row) => columns.map((column) => row * shape[1] + column));
  const there = [a, b].map((plane) => cells.reduce((sum, cell) => sum + plane[cell], 0) / cells.length);
  const neutral = colour === NEUTRAL;
  const wished = colour === KEEP ? there : neutral ? [0, 0] : rgbToLab(fromHex(colour)).slice(1);
  const square = (wished[0] - there[0]) ** 2 + (wished[1] - there[1]) ** 2;
  const replaced = neutral ? 1 : (REPLACES * square) / (square + HALF ** 2);
  const offset = wished.map((value, i) => value - (1 - replaced) * there[i]);
  return { x, y, radius: radius ?? Infinity, cells, replaced, offset };
}

/** The line of a hint's cell; both where it lies just between two. */
function touched(place, count) {
  const lines = [];
  for (let i = Math.max(0, Math.floor(place * count) - 1); i < count && lines.length < 2; i++) {
    const off = i + 0.5 - place * count;
    if (off > 0.5 + 1e-4) break;
    if (Math.abs(off) <= 0.5 + 1e-4) lines.push(i);
  }
  return lines;
}

/** What the steps cost, at the cell that they lead to; none leads out of the grid. */
function costsOf(light, [height, width], photo, facts) {
  const calm = blurred(blurred(light, height, width), height, width);
  const long = Math.max(...photo);
  const lengths = [photo[0] / (height * long), photo[1] / (width * long)];
  const mean = light.reduce((sum, value) => sum + value, 0) / light.length;
  const variance = light.reduce((sum, value) => sum + (value - mean) ** 2, 0) / light.length;
  const contrast = Math.max(Math.sqrt(variance), facts.LEAST_CONTRAST) / facts.CONTRAST;
  const edge = facts.EDGE * contrast ** 2;
  return STEPS.map(([dy, dx]) => {
    const length = Math.hypot(dy * lengths[0], dx * lengths[1]);
    const costs = new Int32Array(light.length).fill(facts.MOST * facts.LABELS);
    for (let y = Math.max(0, dy); y < height + Math.min(0, dy); y++) {
      for (let x = Math.max(0, dx); x < width + Math.min(0, dx); x++) {
        const cell = y * width + x;
        const change = calm[cell] - calm[cell - dy * width - dx];
        const cost = facts.PER_LENGTH * length + change ** 2 / (length * edge);
        costs[cell] = Math.round(Math.min(cost, 1) * facts.MOST) * facts.LABELS;
      }
    }
    return costs;
  });
}

/** By the binomial of 5, each way. */
function blurred(plane, height, width) {
  const along = (from, count, lines, step, stride) => {
    const to = new Float32Array(from.length);
    for (let line = 0; line < lines; line++) {
      const at = (i) => from[line * stride + Math.min(count - 1, Math.max(0, i)) * step];
      for (let i = 0; i < count; i++) {
        const sum = at(i - 2) + at(i + 2) + 4 * (at(i - 1) + at(i + 1)) + 6 * at(i);
        to[line * stride + i * step] = sum / 16;
      }
    }
    return to;
  };
  return along(along(plane, height, width, width, 1), width, height, 1, width);
}

/**
 * Brings to each cell the nearest seed: sweeps forth and back until nothing changes. A key is a
 * distance and, in its lowest bits, the number of a seed.
 *
 * @param {Int32Array} keys changed in place
 * @param {Int32Array?} nearest where they are given, the second nearest seeds are sought: they come
 *   from a neighbour whose nearest one is another, or are the second of one whose nearest is the same
 */
function relax(keys, costs, [height, width], nearest, { LABELS }) {
  const visit = (y, x) => {
    const cell = y * width + x;
    const own = nearest && nearest[cell] % LABELS;
    let key = keys[cell];
    for (let i = 0; i < STEPS.length; i++) {
      const [v, u] = [y - STEPS[i][0], x - STEPS[i][1]];
      if (v < 0 || u < 0 || v >= height || u >= width) continue;
      const other = v * width + u;
      const isOther = nearest && nearest[other] % LABELS !== own;
      const reached = (isOther ? nearest : keys)[other] + costs[i][cell];
      if (reached < key) key = reached;
    }
    if (key === keys[cell]) return false;
    keys[cell] = key;
    return true;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) if (visit(y, x)) changed = true;
    if (!changed) return;
    for (let y = height - 1; y >= 0; y--) for (let x = width - 1; x >= 0; x--) visit(y, x);
  }
}
