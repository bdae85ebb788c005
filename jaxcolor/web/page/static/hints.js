// What the user knows of a photo's colours: places with colours, and the steps that led to them.

import { nameOf, parsed } from "./lab.js";

export const NEUTRAL = "neutral"; // stays grey
export const KEEP = "keep"; // stays as the program has it
export const most = Number(document.body.dataset.mostHints);

const WORDS = { [NEUTRAL]: "grey", [KEEP]: "left as it is" };
const PLACES = 1e4; // what a share is rounded to: finer than a pixel of a preview
const NO_HINTS = "This is no file of colour hints";

let count = 0; // so that a dot of the page stays the same one while its hint changes

/** The hints of a photo. Each is {id, x, y, colour} and never changes: a change puts another there. */
export class Hints {
  constructor() {
    this.steps = [[]];
    this.now = 0;
    this.act = null;
  }

  get all() {
    return this.steps[this.now];
  }

  get(id) {
    return this.all.find((hint) => hint.id === id);
  }

  get canUndo() {
    return this.now > 0;
  }

  get canRedo() {
    return this.now < this.steps.length - 1;
  }

  /** Replaces all; changes of one act, one after the other, are one step to undo. */
  change(all, act = null) {
    const goesOn = act !== null && act === this.act;
    this.steps.length = this.now + (goesOn ? 0 : 1);
    this.steps.push(all);
    this.now = this.steps.length - 1;
    this.act = act;
  }

  /** Adds a hint, or puts another in the place of the one with its id. */
  put(hint, act = null) {
    const known = this.get(hint.id);
    this.change(known ? this.all.map((each) => (each === known ? hint : each)) : [...this.all, hint], act);
  }

  remove(id) {
    this.change(this.all.filter((hint) => hint.id !== id));
  }

  /** -1: one step back; 1: the step that was undone, again. */
  step(by) {
    this.now = Math.min(this.steps.length - 1, Math.max(0, this.now + by));
    this.act = null;
  }

  /** As the API and a file have them; "" where there is none. */
  get text() {
    return this.all.length ? JSON.stringify(this.all.map(({ id, ...hint }) => hint)) : "";
  }
}

export function hint(x, y, colour) {
  return { id: ++count, ...at(x, y), colour };
}

/** A place in the photo, as shares. */
export function at(x, y) {
  const share = (value) => Math.round(PLACES * Math.min(1, Math.max(0, value))) / PLACES;
  return { x: share(x), y: share(y) };
}

/**
 * The hints that a file has.
 *
 * @throws {Error} whose message says to its user what is wrong with it
 */
export function read(text) {
  let given;
  try {
    given = JSON.parse(text);
  } catch {
    throw new Error(`${NO_HINTS}: it is not JSON.`);
  }
  if (!Array.isArray(given)) throw new Error(`${NO_HINTS}: it has no list.`);
  if (given.length > most) throw new Error(`It has ${given.length} hints; at most ${most} can be used.`);
  return given.map((each, i) => {
    const inside = [each?.x, each?.y].every((share) => typeof share === "number" && share >= 0 && share <= 1);
    if (!inside) throw new Error(`Hint ${i + 1}: x and y must be shares of width and height, from 0 to 1.`);
    const known = [NEUTRAL, KEEP].includes(each.colour) ? each.colour : parsed(String(each.colour));
    if (!known) throw new Error(`Hint ${i + 1}: “${each.colour}” is no colour.`);
    const radius = typeof each.radius === "number" ? { radius: each.radius } : {};
    return { ...hint(each.x, each.y, known), ...radius };
  });
}

export const colourWords = (colour) => WORDS[colour] ?? nameOf(colour);

export const placeWords = ({ x, y }) => `${Math.round(100 * x)} % across, ${Math.round(100 * y)} % down`;

/** "red, 34 % across, 20 % down" */
export function inWords(hint) {
  return `${hint.colour ? colourWords(hint.colour) : "no colour yet"}, ${placeWords(hint)}`;
}
