// Hints as dots on the photo: put, moved, coloured, removed, by mouse, finger and keyboard.

import { KEEP, NEUTRAL, at, colourWords, hint, inWords, most, placeWords, read, suffix } from "./hints.js";
import { hex, rgbToLab } from "./lab.js";
import { byArrow, follow, placeOf } from "./moves.js";
import * as palette from "./palette.js";
import { sample } from "./sample.js";

const PICKING = "Click the place whose colour to take; Escape leaves it as it is.";

const byId = (id) => document.getElementById(id);
const layer = byId("dots");
const aim = byId("aim");
const lens = byId("lens");
const dots = new Map(); // id of a hint -> its button
let photo = null;
let shown = null; // its hints, of the picture in its file that is looked at
let fresh = null; // a hint that has no colour yet
let open = null; // the hint whose palette is open
let picking = null; // the hint that takes its colour from the photo
let hooks = null;
let acts = 0; // palettes that were opened: what is chosen in one is one step to undo

/**
 * @param {Object} given
 *   changed(photo): its hints are other ones
 *   turned(): the dots were turned on or off
 *   hand(blob, name): gives the user a file
 *   refuse(name, reason)
 */
export function start(given) {
  hooks = given;
}

export const active = () => byId("mode-hints").checked;

/** Shows the dots of a photo; null: there is none. */
export function show(given) {
  if (given?.hints !== shown) leave();
  [photo, shown] = [given, given?.hints];
  const ready = Boolean(photo?.colour);
  for (const input of byId("mode").querySelectorAll("input")) input.disabled = !ready;
  render();
}

function leave() {
  picking = null;
  lens.hidden = true;
  palette.close();
  fresh = null;
  say("");
}

function render() {
  const hints = photo?.hints.all ?? [];
  layer.hidden = !active() || !photo?.colour;
  for (const id of ["hint-tools", "undo", "redo"]) byId(id).hidden = layer.hidden;
  byId("pictures").classList.toggle("by-hand", !layer.hidden);
  layer.classList.toggle("picking", Boolean(picking));
  byId("hint-count").textContent = hints.length || "";
  byId("undo").disabled = !photo?.hints.canUndo;
  byId("redo").disabled = !photo?.hints.canRedo;
  byId("remove-hints").disabled = byId("save-hints").disabled = !hints.length;
  const all = fresh ? [...hints, fresh] : hints;
  const known = new Set(all.map(({ id }) => id));
  for (const [id, dot] of dots) {
    if (known.has(id)) continue;
    dot.remove();
    dots.delete(id);
  }
  all.forEach((each, i) => {
    const dot = dots.get(each.id) ?? made(each.id);
    const kind = { [NEUTRAL]: "neutral", [KEEP]: "keep" }[each.colour] ?? (each.colour ? "" : "fresh");
    dot.className = `dot ${kind}`;
    dot.classList.toggle("open", each.id === open);
    dot.style.left = `${100 * each.x}%`;
    dot.style.top = `${100 * each.y}%`;
    dot.style.setProperty("--swatch", each.colour?.startsWith("#") ? each.colour : "");
    dot.setAttribute("aria-label", `Hint ${i + 1}, ${inWords(each)}`);
    if (!dot.isConnected) layer.append(dot);
  });
}

function made(id) {
  const dot = document.createElement("button");
  dot.type = "button";
  dots.set(id, dot);
  dot.addEventListener("click", () => !dragged && choose(current(id)));
  dot.addEventListener("pointerdown", (event) => drag(event, id));
  dot.addEventListener("keydown", (event) => key(event, id));
  return dot;
}

const current = (id) => photo.hints.get(id) ?? fresh;
const number = (id) => (photo.hints.all.findIndex((each) => each.id === id) + 1 || photo.hints.all.length + 1);

// -- acts on hints --------------------------------------------------------------------------------

function changed(words) {
  render();
  say(words);
  hooks.changed(photo);
}

let speaking;
function say(words, wait = 0) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (byId("hint-said").textContent = words), wait);
}

function add(place) {
  if (photo.hints.all.length >= most) return say(`A photo has at most ${most} hints.`);
  fresh = hint(place.x, place.y, null);
  render();
  choose(fresh);
}

function choose(given, act = `palette ${++acts}`) {
  const { id } = given;
  const dot = dots.get(id);
  dot.focus({ preventScroll: true });
  palette.open({
    title: given.colour ? `Hint ${number(id)}` : "Which colour is it here?",
    anchor: dot,
    colour: given.colour,
    radius: given.radius,
    lightness: lightnessAt(given),
    automatic: automaticAt(given),
    chosen({ colour, radius }) {
      const now = { ...current(id), colour, radius };
      fresh = null;
      photo.hints.put(now, act);
      changed(`Hint ${number(id)}: ${colourWords(colour)}`);
    },
    pick: () => pick(current(id), act),
    remove: () => remove(id),
    closed() {
      open = null;
      if (!picking) fresh = null;
      render();
      setTimeout(() => refocus(dot));
    },
  });
  open = id;
  render();
}

async function lightnessAt(place) {
  await byId("grey").decode();
  return rgbToLab(sample(byId("grey"), place))[0];
}

async function automaticAt(place) {
  try {
    return hex(sample(await photo.automatic(), place));
  } catch {
    return null; // refused, or not reached: the photo's own preview tells
  }
}

// A dot that had the focus may be gone.
function refocus(dot) {
  if (layer.hidden || document.activeElement !== document.body) return;
  (dot?.isConnected ? dot : aim).focus({ preventScroll: true });
}

function remove(id) {
  const gone = number(id);
  const { hints } = photo;
  if (!hints.get(id)) return;
  hints.remove(id);
  changed(`Hint ${gone} removed`);
  refocus(dots.get(hints.all[Math.min(gone, hints.all.length) - 1]?.id));
}

function step(by) {
  const { hints } = photo;
  if (!(by < 0 ? hints.canUndo : hints.canRedo)) return;
  palette.close();
  hints.step(by);
  const left = `${hints.all.length} ${hints.all.length === 1 ? "hint" : "hints"}`;
  changed(`${by < 0 ? "Undone" : "Done again"}: ${left}`);
  refocus();
}

// -- mouse and finger -----------------------------------------------------------------------------

let dragged = false; // the click that ends a drag is none

layer.addEventListener("click", (event) => {
  if (event.target !== layer) return;
  const place = placeOf(event, layer);
  if (picking) take(place);
  else add(place);
});

function drag(start, id) {
  dragged = false;
  if (start.button !== 0 || !photo.hints.get(id)) return;
  const act = `drag ${++acts}`;
  const moved = (place) => {
    if (!photo.hints.get(id)) return; // undone meanwhile
    photo.hints.put({ ...current(id), ...place }, act);
    render();
  };
  const done = () => {
    dragged = true;
    setTimeout(() => (dragged = false));
    if (photo.hints.get(id)) changed(`Hint ${number(id)} moved: ${placeWords(current(id))}`);
  };
  follow(start, current(id), layer, moved, done);
}

// -- the keyboard ---------------------------------------------------------------------------------

function key(event, id) {
  const place = byArrow(event, current(id));
  if (place && photo.hints.get(id)) {
    photo.hints.put({ ...current(id), ...place }, `keys ${id}`);
    render();
    say(inWords(current(id)), 400);
    hooks.changed(photo);
  }
  if (event.key !== "Delete" && event.key !== "Backspace") return;
  event.preventDefault();
  remove(id);
}

let target = at(0.5, 0.5); // of the cross that the keyboard moves

function aimAt(place) {
  target = place;
  aim.style.left = `${100 * place.x}%`;
  aim.style.top = `${100 * place.y}%`;
  aim.setAttribute("aria-label", `${picking ? "Take the colour" : "Put a hint"} at ${placeWords(place)}`);
}

aimAt(target);
aim.addEventListener("focus", () => aimAt(target));
aim.addEventListener("keydown", (event) => {
  const place = byArrow(event, target);
  if (!place) return;
  aimAt(place);
  if (picking) look(place);
  say(placeWords(place), 400);
});
aim.addEventListener("click", () => (picking ? take(target) : add(target)));

addEventListener("keydown", (event) => {
  if (layer.hidden) return;
  if (event.key === "Escape" && picking) {
    event.preventDefault(); // or it would close the palette that opens
    say("");
    return back();
  }
  const writing = event.target.matches?.("input[type=text], input[type=number]");
  if (!(event.ctrlKey || event.metaKey) || event.altKey || writing) return;
  const letter = event.key.toLowerCase();
  const by = letter === "y" || (letter === "z" && event.shiftKey) ? 1 : letter === "z" ? -1 : 0;
  if (!by) return;
  event.preventDefault();
  step(by);
});

// -- the pipette ----------------------------------------------------------------------------------

function pick(given, act) {
  picking = { given, act };
  palette.close();
  render();
  say(PICKING);
  aimAt(given);
  aim.focus({ preventScroll: true });
}

function look(place) {
  lens.hidden = false;
  lens.style.left = `${100 * place.x}%`;
  lens.style.top = `${100 * place.y}%`;
  lens.style.setProperty("--swatch", hex(sample(byId("colour"), place)));
}

layer.addEventListener("pointermove", (event) => picking && look(placeOf(event, layer)));

function take(place) {
  const { given, act } = picking;
  const colour = hex(sample(byId("colour"), place));
  fresh = null;
  photo.hints.put({ ...given, colour }, act);
  changed(`Hint ${number(given.id)}: ${colourWords(colour)}`);
  back();
}

// To the palette that the pipette was taken from.
function back() {
  const { given, act } = picking;
  picking = null;
  lens.hidden = true;
  aimAt(target);
  render();
  choose(current(given.id), act);
}

// -- the tools under the photo --------------------------------------------------------------------

for (const input of byId("mode").querySelectorAll("input")) {
  input.addEventListener("change", () => {
    leave();
    render();
    hooks.turned();
  });
}

byId("undo").addEventListener("click", () => step(-1));
byId("redo").addEventListener("click", () => step(1));
byId("remove-hints").addEventListener("click", () => {
  photo.hints.change([]);
  changed("All hints removed");
});
byId("save-hints").addEventListener("click", () => {
  const file = new Blob([photo.hints.text], { type: "application/json" });
  hooks.hand(file, photo.stem + suffix);
  say(`Saved as ${photo.stem}${suffix}`);
});
byId("load-hints").addEventListener("change", (event) => {
  for (const file of event.target.files) load(file);
  event.target.value = "";
});

/** Puts the hints of a file in the place of those that the photo has. */
export async function load(file) {
  try {
    const hints = read(await file.text());
    photo.hints.change(hints);
    byId("mode-hints").checked = true;
    hooks.turned();
    changed(`${hints.length} hints loaded`);
  } catch (problem) {
    hooks.refuse(file.name, problem.message);
  }
}
