// What a photo's file says beside its pixels, read from JPEG, PNG and WebP, and put into a JPEG or
// PNG that a browser wrote, which says nothing: EXIF, XMP, IPTC, resolution, texts.

const latin = (bytes) => String.fromCharCode(...bytes);
const bytesOf = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const starts = (bytes, text, at = 0) => latin(bytes.subarray(at, at + text.length)) === text;
const viewOf = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const joined = (...parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

const PNG = "\x89PNG\r\n\x1a\n";
const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";
const IPTC = "Photoshop 3.0\0";
const XMP_IN_PNG = "XML:com.adobe.xmp";
const METRE = 39.3701; // inches
const TEXTS = ["tEXt", "zTXt", "iTXt"];

// The first bytes of kinds of files, and whether browsers show them.
const KINDS = [
  ["JPEG", (bytes) => starts(bytes, "\xff\xd8\xff")],
  ["PNG", (bytes) => starts(bytes, PNG)],
  ["WebP", (bytes) => starts(bytes, "RIFF") && starts(bytes, "WEBP", 8)],
  ["GIF", (bytes) => starts(bytes, "GIF8")],
  ["BMP", (bytes) => starts(bytes, "BM")],
  ["AVIF", (bytes) => starts(bytes, "ftypavi", 4)],
  ["HEIC", (bytes) => starts(bytes, "ftyphe", 4) || starts(bytes, "ftypmif1", 4)],
  ["TIFF", (bytes) => starts(bytes, "II*\0") || starts(bytes, "MM\0*")],
  ["Photoshop", (bytes) => starts(bytes, "8BPS")],
  ["JPEG 2000", (bytes) => starts(bytes, "jP  ", 4)],
  ["JPEG XL", (bytes) => starts(bytes, "\xff\x0a") || starts(bytes, "JXL ", 4)],
];

/** What a file is by its first bytes; undefined where it is none of the kinds of photos. */
export const kindOf = (bytes) => KINDS.find(([, fits]) => fits(bytes))?.[0];

/**
 * @param {Uint8Array} bytes of the file
 * @returns {{size?: number[], bits?: number, dpi?: number[], exif?: Uint8Array, xmp?: Uint8Array,
 *   iptc?: Uint8Array, comments: Uint8Array[], texts: Uint8Array[]}} width and height as stored;
 *   exif from its TIFF header on; texts are whole chunks of a PNG
 */
export function read(bytes) {
  const found = { comments: [], texts: [] };
  try {
    ({ JPEG: readJpeg, PNG: readPng, WebP: readWebp })[kindOf(bytes)]?.(bytes, found);
  } catch (problem) {
    if (!(problem instanceof RangeError)) throw problem; // cut short: what came before counts
  }
  return found;
}

function readJpeg(bytes, found) {
  for (const { marker, body } of segments(bytes)) {
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      found.size = [viewOf(body).getUint16(3), viewOf(body).getUint16(1)];
    } else if (marker === 0xe0 && starts(body, "JFIF\0")) {
      const [unit, x, y] = [body[7], viewOf(body).getUint16(8), viewOf(body).getUint16(10)];
      if (unit && x && y) found.dpi = unit === 1 ? [x, y] : [2.54 * x, 2.54 * y];
    } else if (marker === 0xe1 && starts(body, EXIF)) {
      found.exif ??= body.slice(EXIF.length);
    } else if (marker === 0xe1 && starts(body, XMP)) {
      found.xmp ??= body.slice(XMP.length);
    } else if (marker === 0xed && starts(body, IPTC)) {
      found.iptc ??= body.slice();
    } else if (marker === 0xfe) {
      found.comments.push(body.slice());
    }
  }
}

/** The segments of a JPEG before its scan. */
function* segments(bytes) {
  const view = viewOf(bytes);
  for (let at = 2; bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xda || marker === 0xd9) return;
    if (marker === 0xff) {
      at++;
      continue;
    }
    const end = at + 2 + view.getUint16(at + 2);
    yield { marker, at, end, body: bytes.subarray(at + 4, end) };
    at = end;
  }
}

function readPng(bytes, found) {
  for (const { kind, body, chunk } of chunks(bytes)) {
    if (kind === "IHDR") {
      found.size = [viewOf(body).getUint32(0), viewOf(body).getUint32(4)];
      found.bits = body[8];
    } else if (kind === "pHYs" && body[8] === 1) {
      found.dpi = [0, 4].map((at) => viewOf(body).getUint32(at) / METRE);
    } else if (kind === "eXIf") {
      found.exif ??= body.slice();
    } else if (kind === "iTXt" && starts(body, XMP_IN_PNG) && !body[XMP_IN_PNG.length + 1]) {
      const text = body.indexOf(0, body.indexOf(0, XMP_IN_PNG.length + 3) + 1) + 1;
      found.xmp ??= body.slice(text);
    } else if (TEXTS.includes(kind)) {
      found.texts.push(chunk.slice());
    }
  }
}

function* chunks(bytes) {
  const view = viewOf(bytes);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 12 + view.getUint32(at);
    const kind = latin(bytes.subarray(at + 4, at + 8));
    yield { kind, at, end, body: bytes.subarray(at + 8, end - 4), chunk: bytes.subarray(at, end) };
    at = end;
  }
}

function readWebp(bytes, found) {
  const view = viewOf(bytes);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (starts(bytes, "EXIF", at)) found.exif = body.slice(starts(body, EXIF) ? EXIF.length : 0);
    if (starts(bytes, "XMP ", at)) found.xmp = body.slice();
    at += 8 + length + (length % 2);
  }
}

// -- written --------------------------------------------------------------------------------------

/**
 * A file that the browser wrote, with what a photo's file said.
 *
 * @param {Uint8Array} bytes a JPEG or PNG
 * @param {Object} given of `read`
 * @param {number[]} size width and height of the result, which is upright
 * @returns {{bytes: Uint8Array, lost: string[]}} lost: what could not be kept
 */
export function written(bytes, given, size) {
  const kept = {
    ...given,
    exif: given.exif && uprightExif(given.exif, size),
    xmp: given.xmp && uprightXmp(given.xmp),
  };
  return kindOf(bytes) === "PNG" ? writtenPng(bytes, kept) : writtenJpeg(bytes, kept);
}

function writtenJpeg(bytes, { dpi, exif, xmp, iptc, comments, texts }) {
  const lost = texts.length ? ["texts"] : [];
  const parts = [];
  const add = (marker, body, name) => {
    if (body.length + 2 > 0xffff) return lost.push(name);
    parts.push(Uint8Array.of(0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255), body);
  };
  if (exif) add(0xe1, joined(bytesOf(EXIF), exif), "EXIF data");
  if (xmp) add(0xe1, joined(bytesOf(XMP), xmp), "XMP data");
  if (iptc) add(0xed, iptc, "IPTC data");
  for (const comment of comments) add(0xfe, comment, "a comment");
  let begin = 2;
  for (const { marker, end, at } of segments(bytes)) {
    if (marker !== 0xe0) break;
    begin = end;
    if (dpi) setDensity(bytes, at, dpi);
  }
  return { bytes: joined(bytes.subarray(0, begin), ...parts, bytes.subarray(begin)), lost };
}

function setDensity(bytes, at, dpi) {
  bytes[at + 11] = 1;
  dpi.forEach((value, i) => viewOf(bytes).setUint16(at + 12 + 2 * i, Math.round(value)));
}

function writtenPng(bytes, { dpi, exif, xmp, iptc, comments, texts }) {
  const parts = [...texts];
  if (dpi) {
    const body = new Uint8Array(9);
    dpi.forEach((value, i) => viewOf(body).setUint32(4 * i, Math.round(value * METRE)));
    body[8] = 1;
    parts.push(chunk("pHYs", body));
  }
  if (exif) parts.push(chunk("eXIf", exif));
  if (xmp) parts.push(chunk("iTXt", joined(bytesOf(`${XMP_IN_PNG}\0\0\0\0\0`), xmp)));
  for (const comment of comments) parts.push(chunk("tEXt", joined(bytesOf("Comment\0"), comment)));
  const [head] = chunks(bytes);
  const lost = iptc ? ["IPTC data"] : [];
  return { bytes: joined(bytes.subarray(0, head.end), ...parts, bytes.subarray(head.end)), lost };
}

function chunk(kind, body) {
  const whole = joined(new Uint8Array(4), bytesOf(kind), body, new Uint8Array(4));
  viewOf(whole).setUint32(0, body.length);
  viewOf(whole).setUint32(whole.length - 4, crc(whole.subarray(4, -4)));
  return whole;
}

function crc(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let i = 0; i < 8; i++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

// -- made true for an upright picture -------------------------------------------------------------

const ORIENTATION = 0x0112;
const EXIF_DIRECTORY = 0x8769;
const COLOUR_SPACE = 0xa001;
const SIDES = [0xa002, 0xa003];

/** Orientation becomes 1, colour space sRGB, width and height the result's; no thumbnail. */
function uprightExif(block, size) {
  const exif = block.slice();
  const view = viewOf(exif);
  const little = starts(exif, "II");
  if (!little && !starts(exif, "MM")) return undefined;
  const short = (at) => view.getUint16(at, little);
  const long = (at) => view.getUint32(at, little);
  const put = (at, value) => {
    const kind = short(at + 2);
    if (kind === 3) view.setUint16(at + 8, value, little);
    if (kind === 4) view.setUint32(at + 8, value, little);
  };
  const entries = (directory) =>
    Array.from({ length: short(directory) }, (_, i) => directory + 2 + 12 * i);
  try {
    const main = long(4);
    for (const at of entries(main)) {
      if (short(at) === ORIENTATION) put(at, 1);
      if (short(at) !== EXIF_DIRECTORY) continue;
      for (const inner of entries(long(at + 8))) {
        if (short(inner) === COLOUR_SPACE) put(inner, 1);
        const side = SIDES.indexOf(short(inner));
        if (side >= 0) put(inner, size[side]);
      }
    }
    const next = main + 2 + 12 * short(main);
    if (next + 4 <= exif.length) dropThumbnail(exif, view, long(next), entries, short, long);
    if (next + 4 <= exif.length) view.setUint32(next, 0, little);
  } catch (problem) {
    if (!(problem instanceof RangeError)) throw problem; // damaged: it is not kept
    return undefined;
  }
  return exif;
}

function dropThumbnail(exif, view, directory, entries, short, long) {
  if (!directory) return;
  const values = Object.fromEntries(entries(directory).map((at) => [short(at), long(at + 8)]));
  const [start, length] = [values[0x0201], values[0x0202]];
  if (start && length) exif.fill(0, start, start + length);
}

function uprightXmp(packet) {
  const text = new TextDecoder().decode(packet);
  const turned = text.replace(/(tiff:Orientation(?:\s*=\s*["']|\s*>\s*))[0-9]+/g, "$11");
  const bare = turned.replace(/<(xmp|xap):Thumbnails\b[^]*?<\/\1:Thumbnails\s*>/g, "");
  return new TextEncoder().encode(bare);
}
