// Pixels to lightness, and lightness with the small picture's chroma back to pixels: what
// jaxcolor/refine.py and jaxcolor/color.py do, for 8 bits, in loops that allocate nothing.

import { BISECTIONS, DELTA, FROM_CONE, OFFSET, SLACK, SLOPE, TO_CONE, bent, encoded, linear } from "../../jaxcolor/web/page/static/lab.js";
import { averaging, resized, taps } from "./resizing.js";

const LIGHT = Float64Array.from({ length: 256 }, (_, level) => linear(level));
// f(Y), (L + 16) / 116, of greys.
const GREY = LIGHT.map((light) => bent(light));
const RED = LIGHT.map((light) => light * TO_CONE[1][0]);
const GREEN = LIGHT.map((light) => light * TO_CONE[1][1]);
const BLUE = LIGHT.map((light) => light * TO_CONE[1][2]);
// A level of 255 of linear light; at black, where the curve is steepest, 20 entries to a level.
const FINE = 1 << 16;
const LEVELS = Uint8Array.from({ length: FINE + 1 }, (_, i) => Math.round(255 * encoded(i / FINE)));
const STEPS_PER_L = 40; // of the table of likeness

const upright = (t) => (t > DELTA ? t * t * t : (t - OFFSET) / SLOPE);

/** (L + 16) / 116 of a pixel. */
function tone(pixels, at) {
  const [red, green, blue] = [pixels[at], pixels[at + 1], pixels[at + 2]];
  if (red === green && green === blue) return GREY[red];
  const y = RED[red] + GREEN[green] + BLUE[blue];
  return y > DELTA ** 3 ? Math.cbrt(y) : y * SLOPE + OFFSET;
}

/**
 * L of a row of pixels.
 *
 * @param {Uint8ClampedArray} pixels RGBA
 * @param {number} from the row's first
 * @param {Float32Array} row what is filled
 */
export function lighten(pixels, from, row) {
  for (let x = 0, at = 4 * from; x < row.length; x++, at += 4) row[x] = 116 * tone(pixels, at) - 16;
}

/**
 * The small picture as `Painter` takes it: averaged for a smaller picture, and saturated.
 *
 * @param {{shape: number[], light: Float32Array, a: Float32Array, b: Float32Array}} small
 * @param {number} height of the picture
 * @param {number} width
 * @param {number} saturation
 */
export function prepared({ shape, light, a, b }, height, width, saturation) {
  const made = { shape, light, a, b };
  if (height < shape[0] || width < shape[1]) {
    const matrices = [averaging(shape[0], height), averaging(shape[1], width)];
    for (const plane of ["light", "a", "b"]) made[plane] = resized(made[plane], ...matrices);
  }
  const times = (plane) => plane.map((value) => value * saturation);
  return { ...made, a: times(made.a), b: times(made.b) };
}

/** Paints a picture, row by row. */
export class Painter {
  /**
   * @param {Object} small of `prepared`
   * @param {number} height of the picture
   * @param {number} width
   * @param {number} strength from 0, bilinear interpolation, to 1, along the edges
   * @param {{RANGE: number, FLOOR: number}} facts of jaxcolor/refine.py
   */
  constructor(small, height, width, strength, { RANGE, FLOOR }) {
    Object.assign(this, { small, width });
    this.rows = taps(small.shape[0], height);
    this.columns = taps(small.shape[1], width);
    const floor = 1 - strength * (1 - FLOOR);
    this.likeness = Float64Array.from(
      { length: 120 * STEPS_PER_L },
      (_, i) => floor + (1 - floor) * Math.exp(-(i + 0.5) / STEPS_PER_L / RANGE),
    );
  }

  /**
   * ab of a pixel, into `ab`.
   *
   * @param {number} y
   * @param {number} x
   * @param {number} light its L
   */
  enlarge(y, x, light) {
    const { rows, columns, likeness } = this;
    const { shape, light: guide, a, b } = this.small;
    const up = rows.before[y] * shape[1];
    const down = rows.after[y] * shape[1];
    const left = columns.before[x];
    const right = columns.after[x];
    const v = rows.share[y];
    const u = columns.share[x];
    const one = up + left;
    const two = up + right;
    const three = down + left;
    const four = down + right;
    const p = (1 - v) * (1 - u) * likeness[(Math.abs(light - guide[one]) * STEPS_PER_L) | 0];
    const q = (1 - v) * u * likeness[(Math.abs(light - guide[two]) * STEPS_PER_L) | 0];
    const r = v * (1 - u) * likeness[(Math.abs(light - guide[three]) * STEPS_PER_L) | 0];
    const s = v * u * likeness[(Math.abs(light - guide[four]) * STEPS_PER_L) | 0];
    const total = p + q + r + s;
    ab[0] = (p * a[one] + q * a[two] + r * a[three] + s * a[four]) / total;
    ab[1] = (p * b[one] + q * b[two] + r * b[three] + s * b[four]) / total;
  }

  /** ab of a pixel. */
  enlarged(y, x, light) {
    this.enlarge(y, x, light);
    return ab;
  }

  /**
   * Colours a row.
   *
   * @param {Uint8ClampedArray} pixels RGBA, changed in place; alpha stays
   * @param {number} from the row's first
   * @param {number} y
   */
  row(pixels, from, y) {
    for (let x = 0, at = 4 * from; x < this.width; x++, at += 4) {
      const fy = tone(pixels, at);
      this.enlarge(y, x, 116 * fy - 16);
      const a = ab[0] / 500;
      const b = ab[1] / 200;
      if (!mixed(fy, a, b)) {
        // Less chroma, until it fits: clipped, the colour would have another L.
        let keep = 0;
        for (let step = 0.5, i = 0; i < BISECTIONS; i++, step /= 2) {
          if (mixed(fy, (keep + step) * a, (keep + step) * b)) keep += step;
        }
        mixed(fy, keep * a, keep * b);
      }
      pixels[at] = level(rgb[0]);
      pixels[at + 1] = level(rgb[1]);
      pixels[at + 2] = level(rgb[2]);
    }
  }
}

// What the functions of a pixel hand on.
const ab = new Float64Array(2);
const rgb = new Float64Array(3);
const [[XR, YR, ZR], [XG, YG, ZG], [XB, YB, ZB]] = FROM_CONE;

/** Linear RGB, into `rgb`: a and b are those of Lab divided by 500 and 200; whether it is in gamut. */
function mixed(fy, a, b) {
  const x = upright(fy + a);
  const y = upright(fy);
  const z = upright(fy - b);
  const red = XR * x + YR * y + ZR * z;
  const green = XG * x + YG * y + ZG * z;
  const blue = XB * x + YB * y + ZB * z;
  rgb[0] = red;
  rgb[1] = green;
  rgb[2] = blue;
  return Math.min(red, green, blue) >= -SLACK && Math.max(red, green, blue) <= 1 + SLACK;
}

function level(light) {
  return LEVELS[light <= 0 ? 0 : light >= 1 ? FINE : (light * FINE + 0.5) | 0];
}
