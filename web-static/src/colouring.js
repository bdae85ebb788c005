// From a photo to its colours: what jaxcolor/predict/stages.py does, one photo at a time.

import { content, shapeFor } from "./framing.js";
import { Painter, lighten, prepared } from "./painting.js";
import { Shrinking, puttingBack, resized, resizing } from "./resizing.js";
import { spread } from "./spreading.js";

/**
 * The picture small, in the network's colours.
 *
 * @param {Object} picture gives width, height and strips()
 * @param {(light: Float32Array, shape: number[]) => Promise<Object>} network
 * @param {Object} facts of the model and of jaxcolor's modules
 * @param {() => Promise<void>} breathe called now and then; throws where it was given up
 * @returns {Promise<{shape: number[], light: Float32Array, a: Float32Array, b: Float32Array}>}
 */
export async function seen(picture, network, facts, breathe) {
  const { fitted, inputSize } = facts.model;
  const given = { ...facts.framing, ...facts.model };
  const shape = fitted ? shapeFor(picture.height, picture.width, given) : [inputSize, inputSize];
  const whole = await shrunk(picture, shape, breathe);
  const box = fitted ? content(whole, shape, facts.framing) : { isAll: true };
  const inside = box.isAll ? whole : await shrunk(picture, shape, breathe, box);
  const answer = await network(inside, shape);
  let { a, b } = answer;
  if (!box.isAll) {
    const back = [
      puttingBack(shape[0], shape[0], box.top, box.bottom, box.rows),
      puttingBack(shape[1], shape[1], box.left, box.right, box.columns),
    ];
    [a, b] = [a, b].map((plane) => resized(plane, ...back));
  }
  const same = shape.every((length, i) => length === answer.shape[i]);
  const light = same ? whole : resized(whole, ...shape.map((size, i) => resizing(size, answer.shape[i])));
  return { shape: answer.shape, light, a, b };
}

/** L of a picture, or of the part of it in a box, at a shape. */
async function shrunk(picture, shape, breathe, { top, bottom, left, right } = {}) {
  const shrinking = new Shrinking(
    resizing(picture.height, shape[0], top, bottom),
    resizing(picture.width, shape[1], left, right),
  );
  const row = new Float32Array(picture.width);
  for (const { rows, pixels } of picture.strips()) {
    for (let y = 0; y < rows; y++) {
      lighten(pixels, y * picture.width, row);
      shrinking.add(row);
    }
    await breathe();
  }
  return shrinking.done();
}

/**
 * Gives a picture its colours, in place.
 *
 * @param {Object} picture
 * @param {Object} small of `seen`
 * @param {{saturation: number, refine: number}} controls
 * @param {Object[]} hints
 * @param {Object} facts
 * @param {() => Promise<void>} breathe
 */
export async function paint(picture, small, controls, hints, facts, breathe) {
  const { width, height } = picture;
  let { saturation } = controls;
  if (hints.length) {
    small = await hinted(picture, small, controls, hints, facts, breathe);
    saturation = 1;
  }
  const ready = prepared(small, height, width, saturation);
  const painter = new Painter(ready, height, width, controls.refine, facts.refine);
  for (const strip of picture.strips()) {
    for (let y = 0; y < strip.rows; y++) painter.row(strip.pixels, y * width, strip.top + y);
    picture.put(strip);
    await breathe();
  }
}

/** The small picture with the colours of the hints, which are not saturated any more. */
async function hinted(picture, small, { saturation, refine }, hints, facts, breathe) {
  const photo = [picture.height, picture.width];
  const { FINE, SIZE } = facts.spread;
  let finer = small;
  if (small.shape[0] * small.shape[1] < FINE) {
    const shape = shapeFor(...photo, { ...facts.framing, size: SIZE, multiple: 32 });
    const same = shape.every((length, i) => length === small.shape[i]);
    if (!same) finer = enlarged(small, shape, await shrunk(picture, shape, breathe), refine, facts);
  }
  const times = (plane) => plane.map((value) => value * saturation);
  const vivid = { ...finer, a: times(finer.a), b: times(finer.b) };
  return { ...vivid, ...spread(vivid, hints, photo, facts.spread) };
}

function enlarged(small, shape, light, refine, facts) {
  const painter = new Painter(small, ...shape, refine, facts.refine);
  const made = { shape, light, a: new Float32Array(light.length), b: new Float32Array(light.length) };
  for (let y = 0, cell = 0; y < shape[0]; y++) {
    for (let x = 0; x < shape[1]; x++, cell++) {
      [made.a[cell], made.b[cell]] = painter.enlarged(y, x, light[cell]);
    }
  }
  return made;
}
