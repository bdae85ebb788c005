// A photo on the page: its file, what is asked of it, and the two previews that are compared.

import { colorize } from "./api.js";
import { Hints } from "./hints.js";

// Media type -> suffixes with their dots, the usual one first.
const SUFFIXES = JSON.parse(document.body.dataset.suffixes);

export class Photo {
  constructor(file, side, controls) {
    this.file = file;
    this.name = file.name || "photo";
    this.wish = { ...controls, model: "", format: "", frame: null };
    this.hintsOf = new Map(); // picture in the file -> its hints
    this.colour = this.grey = null; // previews' addresses
    this.small = null; // the grey preview's bytes: further previews are made of it
    this.plain = null; // the preview without hints, and what was wished of it
    this.previewFormat = "jpg";
    this.side = side; // of previews, in pixels
    this.step = null; // what is being waited for
    this.working = null; // AbortController of the preview that is being made
  }

  get hints() {
    const frame = this.wish.frame ?? 0;
    if (!this.hintsOf.has(frame)) this.hintsOf.set(frame, new Hints());
    return this.hintsOf.get(frame);
  }

  /** The name without its suffix. */
  get stem() {
    return this.name.replace(/\.[^.]*$/s, "") || "photo";
  }

  /** Makes the previews for what is wished now; a call while another is in work replaces it. */
  async preview(told) {
    this.working?.abort();
    const { signal } = (this.working = new AbortController());
    const [plain, hints] = [this.plainWish, this.hints.text];
    try {
      const [colour, grey] = await this.previews(signal, hints, told);
      if (!hints) this.plain = { blob: colour.blob, wish: plain };
      this.forget("colour");
      this.colour = URL.createObjectURL(colour.blob);
      if (!grey) return;
      this.forget("grey");
      this.grey = URL.createObjectURL(grey.blob);
      this.greyOf = this.wish.frame;
      this.small = grey.blob;
    } catch (problem) {
      if (problem.code === "wrong-frame" && this.wish.frame === null) {
        this.wish.frame = 0; // the first of several, until the user chooses
        return this.preview(told);
      }
      if (problem.code === "cannot-be-written" && this.previewFormat === "jpg") {
        this.previewFormat = "png"; // it has transparency
        return this.preview(told);
      }
      throw problem;
    } finally {
      if (this.working?.signal === signal) this.working = null;
    }
  }

  previews(signal, hints, told) {
    const wanted = [this.fitted({ hints }, signal, told)];
    if (!this.hasGrey) wanted.push(this.fitted({ saturation: 0 }, signal));
    return Promise.all(wanted);
  }

  /** A preview; the whole file travels once, unless it is the smaller one. */
  fitted(options, signal, told) {
    const wish = { ...this.wish, format: this.previewFormat, fit: this.side, ...options };
    return this.hasGrey && this.small.size < this.file.size
      ? colorize(this.small, { ...wish, frame: null }, signal, told)
      : colorize(this.file, wish, signal, told);
  }

  /** The preview without hints, made anew where something else has been wished since. */
  async automatic() {
    const wish = this.plainWish;
    if (this.plain?.wish !== wish) {
      const { blob } = await this.fitted({}, new AbortController().signal);
      this.plain = { blob, wish };
    }
    return createImageBitmap(this.plain.blob);
  }

  get plainWish() {
    return JSON.stringify({ ...this.wish, format: "", frame: this.wish.frame ?? 0 });
  }

  get hasGrey() {
    return Boolean(this.grey) && this.greyOf === this.wish.frame;
  }

  /** The full-size result, with the name that it is saved under. */
  async result(signal, told) {
    const result = await colorize(this.file, { ...this.wish, hints: this.hints.text }, signal, told);
    const suffix = this.name.match(/\.([^.]*)$/s)?.[1];
    const own = SUFFIXES[result.blob.type];
    const kept = own.includes(`.${suffix || ""}`.toLowerCase()) ? `.${suffix}` : own[0];
    return { ...result, name: `${this.stem}.color${kept}` };
  }

  forget(which) {
    if (this[which]) URL.revokeObjectURL(this[which]);
    this[which] = null;
  }
}
