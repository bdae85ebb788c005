// Hints as dots on the photo: put, moved, coloured, removed, by mouse, finger and keyboard.

import { KEEP, NEUTRAL, at, colourWords, hint, inWords, most, placeWords, read, suffix } from "./hints.js";
import { hex, rgbToLab } from "./lab.js";
import * as palette from "./palette.js";
import { sample } from "./sample.js";

const STEP = 0.01; // of an arrow key, as a share; with Shift five times as far
const STILL = 4; // pixels that a press may move and is no drag
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PICKING = "Click the place whose colour to take; Escape leaves it as it is.";

const byId = (id) => document.getElementById(id);
const layer = byId("dots");
const aim = byId("aim");
const lens = byId("lens");
const dots = new Map(); // id of a hint -> its button
let photo = null;
let shown = null; // its hints, of the picture in its file that is looked at
let fresh = null; // a hint that has no colour yet
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
  dot.classList.add("open");
  palette.open({
    title: given.colour ? `Hint ${number(id)}` : "Which colour is it here?",
    anchor: dot,
    colour: given.colour,
    radius: given.radius,
    lightness: byId("grey").decode().then(() => rgbToLab(sample(byId("grey"), given))[0]),
    automatic: photo.automatic().then((picture) => hex(sample(picture, given))),
    chosen({ colour, radius }) {
      const now = { ...current(id), colour, radius };
      fresh = null;
      photo.hints.put(now, act);
      changed(`Hint ${number(id)}: ${colourWords(colour)}`);
      dot.classList.add("open");
    },
    pick: () => pick(current(id), act),
    remove: () => remove(id),
    closed() {
      if (!picking) fresh = null;
      render();
      setTimeout(() => refocus(dot));
    },
  });
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

function placeOf(event) {
  const box = layer.getBoundingClientRect();
  return at((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

layer.addEventListener("click", (event) => {
  if (event.target !== layer || dragged) return;
  if (picking) take(placeOf(event));
  else add(placeOf(event));
});

function drag(start, id) {
  dragged = false;
  if (start.button !== 0) return;
  const dot = dots.get(id);
  const from = current(id);
  const act = `drag ${id} ${start.timeStamp}`;
  dot.setPointerCapture(start.pointerId);
  const move = (event) => {
    const way = [event.clientX - start.clientX, event.clientY - start.clientY];
    if (!dragged && Math.hypot(...way) < STILL) return;
    dragged = true;
    const box = layer.getBoundingClientRect();
    const place = at(from.x + way[0] / box.width, from.y + way[1] / box.height);
    if (from === fresh || !photo.hints.get(id)) return;
    photo.hints.put({ ...current(id), ...place }, act);
    render();
  };
  const end = () => {
    dot.removeEventListener("pointermove", move);
    dot.removeEventListener("lostpointercapture", end);
    if (dragged && photo.hints.get(id)) changed(`Hint ${number(id)} moved: ${placeWords(current(id))}`);
    setTimeout(() => (dragged = false)); // after the click
  };
  dot.addEventListener("pointermove", move);
  dot.addEventListener("lostpointercapture", end);
}

// -- the keyboard ---------------------------------------------------------------------------------

function moved(event, { x, y }) {
  const way = ARROWS[event.key];
  if (!way) return null;
  event.preventDefault();
  const far = STEP * (event.shiftKey ? 5 : 1);
  return at(x + far * way[0], y + far * way[1]);
}

function key(event, id) {
  const place = moved(event, current(id));
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

aim.addEventListener("focus", () => aimAt(target));
aim.addEventListener("keydown", (event) => {
  const place = moved(event, target);
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

layer.addEventListener("pointermove", (event) => picking && look(placeOf(event)));

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
