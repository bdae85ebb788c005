// The palette: which colour a place of the photo has. It stays open while colours are tried.

import { KEEP, NEUTRAL, colourWords } from "./hints.js";
import { fromHex, hex, labToRgb, parsed, plausible, rgbToLab } from "./lab.js";

const NARROW = matchMedia("(max-width: 52rem)"); // as in style.css: the palette lies at the bottom
const GAP = 14; // pixels between a dot and the palette
const DARKEST = 8; // L beyond which a colour hardly shows
const LIGHTEST = 96;
const LOST = 12; // chroma that a colour loses here before it is said

const byId = (id) => document.getElementById(id);
const palette = byId("palette");
const [automatic, neutral, keep] = ["automatic", "neutral", "keep"].map(byId);
let task = null; // what it is open for

/**
 * Opens it beside a dot.
 *
 * @param {Object} given
 *   title: which hint it is
 *   anchor: the dot
 *   colour, radius: the hint's own; no colour where it has none yet
 *   lightness: of the photo there, a promise of L
 *   automatic: a promise of the colour there without hints, or of null
 *   chosen({colour, radius}), pick(), remove(), closed(): what happens
 */
export async function open(given) {
  close();
  task = given;
  byId("palette-title").textContent = given.title;
  byId("remove-hint").hidden = !given.colour;
  automatic.disabled = true;
  ring(50, given.colour);
  palette.showPopover();
  place();
  show(given.colour);
  reach(given.radius);
  const lightness = await given.lightness;
  if (task !== given) return;
  task.light = lightness;
  ring(lightness, given.colour);
  note(given.colour);
  focus();
  place();
  const own = await given.automatic;
  if (task !== given || !own) return;
  automatic.value = own;
  automatic.disabled = false;
  automatic.style.setProperty("--swatch", own);
  mark(task.colour);
}

export function close() {
  if (palette.matches(":popover-open")) palette.hidePopover();
}

palette.addEventListener("beforetoggle", (event) => {
  if (event.newState !== "closed" || !task) return;
  const { closed } = task;
  task = null;
  closed();
});

// -- what it shows --------------------------------------------------------------------------------

function ring(lightness, colour) {
  const swatches = plausible(lightness).flat().map(({ colour: value, name }) => {
    const swatch = document.createElement("input");
    Object.assign(swatch, { type: "radio", name: "swatch", value, title: name });
    swatch.setAttribute("aria-label", name);
    swatch.style.setProperty("--swatch", value);
    return swatch;
  });
  byId("ring").replaceChildren(...swatches);
  byId("ring").style.setProperty("--columns", swatches.length / plausible(lightness).length);
  mark(colour);
}

function show(colour) {
  task.colour = colour;
  byId("remove-hint").hidden = !colour;
  mark(colour);
  if (colour?.startsWith("#")) byId("own").value = colour;
  byId("typed").value = colour?.startsWith("#") ? colour : "";
  byId("typed").setCustomValidity("");
  note(colour);
}

function mark(colour) {
  for (const swatch of radios()) swatch.checked = swatch.value === colour;
}

function note(colour) {
  byId("palette-note").textContent = words(colour, task.light);
}

function words(colour, light) {
  if (light === undefined) return "";
  if (light < DARKEST) return "This place is nearly black: a colour hardly shows here.";
  if (light > LIGHTEST) return "This place is nearly white: a colour hardly shows here.";
  if (!colour?.startsWith("#")) return "";
  const [, a, b] = rgbToLab(fromHex(colour));
  const here = labToRgb([light, a, b]);
  const [, x, y] = rgbToLab(here);
  const lost = Math.hypot(a, b) - Math.hypot(x, y);
  return lost > LOST ? `The photo keeps its lightness: here it becomes ${colourWords(hex(here))}.` : "";
}

// Beside the dot, or at the bottom of a narrow screen, where the photo makes room for it.
function place() {
  if (!task) return;
  const dot = task.anchor.getBoundingClientRect();
  const own = palette.getBoundingClientRect();
  if (NARROW.matches) {
    palette.style.left = palette.style.top = "";
    const hidden = dot.bottom + GAP - (innerHeight - own.height);
    if (hidden > 0) scrollBy(0, hidden);
    return;
  }
  const right = dot.right + GAP;
  const left = right + own.width < innerWidth ? right : dot.left - GAP - own.width;
  const top = dot.top + dot.height / 2 - own.height / 2;
  palette.style.left = `${Math.max(GAP, Math.min(left, innerWidth - own.width - GAP))}px`;
  palette.style.top = `${Math.max(GAP, Math.min(top, innerHeight - own.height - GAP))}px`;
}

addEventListener("resize", place);
addEventListener("scroll", () => NARROW.matches || place(), { passive: true });

// -- what is done with it -------------------------------------------------------------------------

const radios = () => [...palette.querySelectorAll("[name=swatch]")];

function focus() {
  const first = radios().find((swatch) => swatch.checked) ?? (task.colour ? byId("own") : neutral);
  first.focus({ preventScroll: true });
}

function choose(colour) {
  show(colour);
  task.chosen({ colour, radius: task.radius });
}

// How far the colour goes; a file may say what the list has not.
function reach(radius) {
  const select = byId("reach");
  select.querySelector("[data-own]")?.remove();
  const value = String(radius ?? "");
  if (![...select.options].some((option) => option.value === value)) {
    const own = new Option(`${Math.round(100 * radius)} % of the photo`, value);
    own.dataset.own = "";
    select.append(own);
  }
  select.value = value;
}

byId("reach").addEventListener("change", (event) => {
  task.radius = event.target.value ? Number(event.target.value) : undefined;
  if (task.colour) choose(task.colour);
});

neutral.value = NEUTRAL;
keep.value = KEEP;
palette.addEventListener("change", (event) => {
  if (event.target.name === "swatch") choose(event.target.value);
});

// Up and down go to the next row; left and right are the browser's.
byId("ring").addEventListener("keydown", (event) => {
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const swatches = [...byId("ring").children];
  const columns = Number(byId("ring").style.getPropertyValue("--columns"));
  const next = swatches[swatches.indexOf(event.target) + by * columns];
  if (!by || !next) return;
  event.preventDefault();
  next.focus();
  next.click();
});

byId("own").addEventListener("input", (event) => choose(event.target.value));

function take() {
  const typed = byId("typed");
  const colour = parsed(typed.value);
  typed.setCustomValidity(colour || !typed.value ? "" : "No such colour: write red, or #a03020.");
  if (colour && colour !== task?.colour) choose(colour);
  return typed.reportValidity();
}

byId("typed").addEventListener("change", () => task && take());
byId("palette").addEventListener("submit", (event) => {
  event.preventDefault();
  if (take()) close();
});

byId("close-palette").addEventListener("click", close);
byId("pipette").addEventListener("click", () => {
  const { pick } = task;
  pick();
});
byId("remove-hint").addEventListener("click", () => {
  const { remove } = task;
  close();
  remove();
});

// Tab leaves it as it leaves any part of the page, and then it is done.
palette.addEventListener("focusout", (event) => {
  if (event.relatedTarget && !palette.contains(event.relatedTarget)) close();
});
