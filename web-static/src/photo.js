// Photos as the browser reads and writes them.

import { kindOf, read, written } from "./metadata.js";
import { Refusal } from "./refusal.js";

const STRIP = 1 << 20; // pixels that are looked at together
const TYPES = { jpg: "image/jpeg", png: "image/png" };
const SUFFIXES = { JPEG: "jpg" }; // of results; others become PNG
const READ = "JPEG, PNG, WebP, GIF, BMP and AVIF can be read here.";
const FURTHER = "Save it as JPEG or PNG first, or use the command `jaxcolor colorize`.";

/** A photo that can be coloured: its pixels on a canvas, and what its file says. */
export class Picture {
  /**
   * @param {Blob} blob the file
   * @param {number?} fit at most so many pixels in width and height, and no metadata
   * @param {number} maxPixels
   * @throws {Refusal}
   */
  static async of(blob, fit, maxPixels) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const facts = read(bytes);
    const kind = kindOf(bytes);
    if (!bytes.length) throw new Refusal("empty", "The file is empty.");
    if (facts.size) checkSize(facts.size, maxPixels);
    const bitmap = await decoded(blob, kind);
    checkSize([bitmap.width, bitmap.height], maxPixels);
    const side = Math.max(bitmap.width, bitmap.height);
    const scale = Math.min(1, (fit ?? side) / side);
    const scaled = (length) => Math.max(1, Math.round(length * scale));
    const picture = new Picture(scaled(bitmap.width), scaled(bitmap.height));
    picture.pen.imageSmoothingQuality = "high";
    picture.pen.drawImage(bitmap, 0, 0, picture.width, picture.height);
    bitmap.close();
    const warnings = fit || facts.bits !== 16 ? [] : ["16 bits have become 8"];
    return Object.assign(picture, { kind, warnings, facts: fit ? null : facts });
  }

  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.canvas = new OffscreenCanvas(width, height);
    // Only read from and written to: no business of a graphics card.
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    if (!this.pen) throw new Refusal("too-many-pixels", tooLarge(width, height));
  }

  /** Its rows from the top: {top, rows, pixels}, RGBA. */
  *strips() {
    const rows = Math.max(1, Math.floor(STRIP / this.width));
    for (let top = 0; top < this.height; top += rows) {
      const count = Math.min(rows, this.height - top);
      const strip = this.pen.getImageData(0, top, this.width, count);
      yield { top, rows: count, pixels: strip.data, strip };
    }
  }

  put({ top, strip }) {
    this.pen.putImageData(strip, 0, top);
  }

  hasTransparency() {
    if (this.kind === "JPEG" || this.kind === "BMP") return false;
    for (const { pixels } of this.strips()) {
      for (let at = 3; at < pixels.length; at += 4) if (pixels[at] < 255) return true;
    }
    return false;
  }

  /**
   * The file of it.
   *
   * @param {string} suffix jpg or png; "": what the photo was
   * @returns {Promise<{blob: Blob, size: string, warnings: string[]}>}
   * @throws {Refusal}
   */
  async file(suffix) {
    const type = TYPES[suffix || SUFFIXES[this.kind] || "png"];
    const size = [this.width, this.height];
    const plain = await this.canvas.convertToBlob({ type, quality: 1 });
    if (!this.facts) return { blob: plain, size: size.join("x"), warnings: this.warnings };
    const { bytes, lost } = written(new Uint8Array(await plain.arrayBuffer()), this.facts, size);
    const warnings = [...this.warnings, ...lost.map((what) => `${what} could not be kept`)];
    return { blob: new Blob([bytes], { type }), size: size.join("x"), warnings };
  }

  /** @throws {Refusal} where a format cannot hold what the photo has */
  checkFormat(suffix) {
    if (suffix !== "jpg" || !this.hasTransparency()) return;
    const said = "The result cannot be written so: JPEG cannot hold the photo's transparency. PNG can.";
    throw new Refusal("cannot-be-written", said);
  }
}

async function decoded(blob, kind) {
  try {
    return await createImageBitmap(blob);
  } catch {
    if (!kind) throw new Refusal("not-a-photo", `The file is not a photo. ${READ}`);
    const known = READ.includes(kind);
    const reason = known ? "it is damaged or too large." : `this browser does not read ${kind}. ${FURTHER}`;
    throw new Refusal("cannot-be-read", `The photo cannot be read: ${reason}`);
  }
}

function checkSize([width, height], maxPixels) {
  if (width * height <= maxPixels) return;
  const most = `at most ${Math.floor(maxPixels / 1e6)} million fit into a page`;
  throw new Refusal("too-many-pixels", `${tooLarge(width, height)}; ${most}. ${FURTHER}`);
}

function tooLarge(width, height) {
  const [wide, high] = [width, height].map((length) => length.toLocaleString("en"));
  return `The photo is too large: it has ${wide} x ${high} pixels`;
}
