// What the user knows of a photo's colours: places with colours, and the steps that led to them.

import { nameOf, parsed } from "./lab.js";

// What the server calls them: `neutral` stays grey, `keep` stays as the program has it.
export const { most, neutral: NEUTRAL, keep: KEEP, suffix } = JSON.parse(document.body.dataset.hints);

const WORDS = { [NEUTRAL]: "grey", [KEEP]: "left as it is" };
const PLACES = 1e4; // what a share is rounded to: finer than a pixel of a preview
const WHOLE = "x and y count pixels; the page takes shares of width and height, as it saves them.";
const OUTSIDE = "x and y must be shares of width and height, from 0 to 1.";

let count = 0; // so that a dot of the page stays the same one while its hint changes

/** The hints of a photo. Each is {id, x, y, colour, radius?}; it never changes, but is replaced. */
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

/** A place in the photo, as shares. They are never whole: in a file, whole numbers count pixels. */
export function at(x, y) {
  const share = (value) => Math.min(PLACES - 1, Math.max(1, Math.round(PLACES * value))) / PLACES;
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
    throw new Error("This is no file of colours: it is not JSON.");
  }
  const list = given?.hints ?? given;
  if (!Array.isArray(list)) throw new Error("This is no file of colours: it has no list.");
  if (list.length > most) throw new Error(`It has ${list.length} hints; at most ${most} can be used.`);
  return list.map((each, i) => {
    try {
      return checked(each ?? {});
    } catch (problem) {
      throw new Error(`Hint ${i + 1}: ${problem.message}`);
    }
  });
}

function checked({ x, y, colour, radius }) {
  const isShare = (value) => typeof value === "number" && value >= 0 && value <= 1;
  if (Number.isInteger(x) && Number.isInteger(y)) throw new Error(WHOLE);
  if (!isShare(x) || !isShare(y)) throw new Error(OUTSIDE);
  const named = Array.isArray(colour) ? `rgb(${colour})` : String(colour);
  const known = [NEUTRAL, KEEP].includes(colour) ? colour : parsed(named);
  if (!known) throw new Error(`“${colour}” is no colour.`);
  if (radius != null && (!isShare(radius) || !radius)) throw new Error("radius must be a share, from 0 to 1.");
  return { ...hint(x, y, known), radius: radius ?? undefined };
}

export const colourWords = (colour) => WORDS[colour] ?? nameOf(colour);

export const placeWords = ({ x, y }) => `${Math.round(100 * x)} % across, ${Math.round(100 * y)} % down`;

/** "red, 34 % across, 20 % down" */
export function inWords(hint) {
  return `${hint.colour ? colourWords(hint.colour) : "no colour yet"}, ${placeWords(hint)}`;
}
