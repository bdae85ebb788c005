// A photo on the page: its file, what is asked of it, and the two previews that are compared.

import { colorize } from "./api.js";

// Media type -> suffixes with their dots, the usual one first.
const SUFFIXES = JSON.parse(document.body.dataset.suffixes);

export class Photo {
  constructor(file, side, controls) {
    this.file = file;
    this.name = file.name || "photo";
    this.wish = { ...controls, model: "", format: "", frame: null };
    this.colour = this.grey = null; // previews' addresses
    this.previewFormat = "jpg";
    this.side = side; // of previews, in pixels
    this.step = null; // what is being waited for
    this.working = null; // AbortController of the preview that is being made
  }

  /** Makes the previews for what is wished now; a call while another is in work replaces it. */
  async preview(told) {
    this.working?.abort();
    const { signal } = (this.working = new AbortController());
    try {
      const [colour, grey] = await this.previews(signal, told);
      this.forget("colour");
      this.colour = URL.createObjectURL(colour.blob);
      if (!grey) return;
      this.forget("grey");
      this.grey = URL.createObjectURL(grey.blob);
      this.greyOf = this.wish.frame;
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

  previews(signal, told) {
    const options = { ...this.wish, format: this.previewFormat, fit: this.side };
    const wanted = [colorize(this.file, options, signal, told)];
    if (!this.grey || this.greyOf !== this.wish.frame) {
      wanted.push(colorize(this.file, { ...options, saturation: 0 }, signal));
    }
    return Promise.all(wanted);
  }

  /** The full-size result, with the name that it is saved under. */
  async result(signal, told) {
    const result = await colorize(this.file, this.wish, signal, told);
    const [, stem, suffix] = this.name.match(/^(.*?)(?:\.([^.]*))?$/s);
    const own = SUFFIXES[result.blob.type];
    const kept = own.includes(`.${suffix || ""}`.toLowerCase()) ? `.${suffix}` : own[0];
    return { ...result, name: `${stem || "photo"}.color${kept}` };
  }

  forget(which) {
    if (this[which]) URL.revokeObjectURL(this[which]);
    this[which] = null;
  }
}
