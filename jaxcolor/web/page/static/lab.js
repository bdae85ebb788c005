// Colour arithmetic, with the constants of jaxcolor/color.py: sRGB <-> CIE Lab (D65), and the gamut.
// RGB is three numbers from 0 to 255; Lab is L from 0 to 100, a and b.

const TO_XYZ = [
  [0.412453, 0.35758, 0.180423],
  [0.212671, 0.71516, 0.072169],
  [0.019334, 0.119193, 0.950227],
];
const WHITE = [0.95047, 1, 1.08883];
export const TO_CONE = TO_XYZ.map((row, i) => row.map((value) => value / WHITE[i]));
export const FROM_CONE = inverse(TO_CONE);
export const DELTA = 6 / 29;
export const SLOPE = 1 / (3 * DELTA ** 2);
export const OFFSET = 4 / 29;
export const SLACK = 1e-4; // of a linear component that still counts as in gamut
export const BISECTIONS = 12; // of chroma

export function rgbToLab(rgb) {
  const [x, y, z] = mix(TO_CONE, rgb.map(linear)).map(bent);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** The colour of that lightness: what is out of sRGB's gamut loses chroma until it fits. */
export function labToRgb([lightness, a, b]) {
  const light = Math.min(100, Math.max(0, lightness));
  const keep = chromaInGamut(light, a, b);
  return linearRgb(light, a * keep, b * keep).map((c) => 255 * encoded(Math.min(1, Math.max(0, c))));
}

/** The largest factor up to 1 by which a and b fit into sRGB at that lightness. */
export function chromaInGamut(lightness, a, b) {
  const fits = (factor) =>
    linearRgb(lightness, a * factor, b * factor).every((c) => c >= -SLACK && c <= 1 + SLACK);
  if (fits(1)) return 1;
  let low = 0;
  for (let step = 0.5, i = 0; i < BISECTIONS; i++, step /= 2) if (fits(low + step)) low += step;
  return low;
}

export const hex = (rgb) =>
  `#${rgb.map((c) => Math.round(c).toString(16).padStart(2, "0")).join("")}`;

export const fromHex = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));

/** Any colour that the browser can read, as "#rrggbb"; null if it cannot, or sees through it. */
export function parsed(text) {
  const given = /^[0-9a-f]{3}([0-9a-f]{3})?$/i.test(text.trim()) ? `#${text.trim()}` : text;
  const pen = document.createElement("canvas").getContext("2d");
  pen.fillStyle = given;
  const first = pen.fillStyle;
  pen.fillStyle = first === "#000000" ? "#ffffff" : "#000000"; // is it `given`, or what was there?
  pen.fillStyle = given;
  return pen.fillStyle === first && first.startsWith("#") ? first : null;
}

// -- what is plausible, and what it is called -----------------------------------------------------

const ROWS = [
  { name: "soft", chroma: 16, share: 0.35 },
  { name: "", chroma: 38, share: 0.7 },
  { name: "strong", chroma: 80, share: 1 },
];
// By the angle of ab from 10 degrees on, in steps of 30: names where it is light, where it is dark,
// and where it is light and soft.
const HUES = [
  ["pink", "crimson"],
  ["salmon", "red"],
  ["orange", "brown", "beige"],
  ["yellow", "olive"],
  ["light green", "leaf green"],
  ["green", "green"],
  ["mint", "teal"],
  ["turquoise", "petrol blue"],
  ["sky blue", "steel blue"],
  ["blue", "blue"],
  ["lilac", "violet"],
  ["orchid", "purple"],
];
const FIRST = 10;
const STEP = 360 / HUES.length;
const LIGHT = 62; // from this L on a colour has its light name
const GREYS = [
  [15, "black"],
  [40, "dark grey"],
  [70, "grey"],
  [92, "light grey"],
  [Infinity, "white"],
];
const GREY = 6; // chroma below which a colour is called a grey

/** Rows of colours of one lightness, soft to strong, round the hues. */
export function plausible(lightness) {
  return ROWS.map(({ name, chroma, share }) =>
    HUES.map((names, i) => {
      const angle = ((FIRST + STEP * i) * Math.PI) / 180;
      const [a, b] = [80 * Math.cos(angle), 80 * Math.sin(angle)];
      const widest = chromaInGamut(lightness, a, b);
      const part = Math.min(chroma / 80, share * widest);
      const soft = lightness >= LIGHT && name === "soft" && names[2];
      const words = soft || `${name} ${names[lightness < LIGHT ? 1 : 0]}`.trim();
      return { colour: hex(labToRgb([lightness, a * part, b * part])), name: words };
    }),
  );
}

/** What a person would call it, roughly. */
export function nameOf(colour) {
  const rgb = fromHex(colour);
  const [lightness, a, b] = rgbToLab(rgb);
  const chroma = Math.hypot(a, b);
  if (chroma < GREY) return GREYS.find(([below]) => lightness < below)[1];
  const turn = ((Math.atan2(b, a) * 180) / Math.PI - FIRST + STEP / 2 + 360) % 360;
  const [light, dark, beige] = HUES[Math.floor(turn / STEP)];
  if (beige && lightness >= LIGHT && chroma < 35) return beige;
  const called = lightness < LIGHT ? dark : light;
  // Lab has sRGB's own blue among the violets.
  const name = called === "violet" && rgb[0] < 0.3 * rgb[2] ? "blue" : called;
  if (lightness < 25) return `dark ${name}`;
  return chroma < 18 ? `greyish ${name}` : name;
}

// -- arithmetic -----------------------------------------------------------------------------------

export function linear(value) {
  const c = value / 255;
  return c > 0.04045 ? ((c + 0.055) / 1.055) ** 2.4 : c / 12.92;
}

export function encoded(c) {
  return c > 0.0031308 ? 1.055 * c ** (1 / 2.4) - 0.055 : 12.92 * c;
}

export function bent(t) {
  return t > DELTA ** 3 ? Math.cbrt(t) : t * SLOPE + OFFSET;
}

function straight(t) {
  return t > DELTA ? t ** 3 : (t - OFFSET) / SLOPE;
}

function linearRgb(lightness, a, b) {
  const y = (lightness + 16) / 116;
  return mix(FROM_CONE, [y + a / 500, y, y - b / 200].map(straight));
}

function mix(matrix, [x, y, z]) {
  return matrix.map((row) => row[0] * x + row[1] * y + row[2] * z);
}

// Of three rows: cross products over the determinant.
function inverse([p, q, r]) {
  const cross = (u, v) => [0, 1, 2].map((i) => u[(i + 1) % 3] * v[(i + 2) % 3] - u[(i + 2) % 3] * v[(i + 1) % 3]);
  const columns = [cross(q, r), cross(r, p), cross(p, q)];
  const determinant = p.reduce((sum, value, i) => sum + value * columns[0][i], 0);
  return [0, 1, 2].map((i) => columns.map((column) => column[i] / determinant));
}
