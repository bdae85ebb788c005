// The page: photos are dropped or chosen, compared under a slider, and downloaded in full size.

import { STEPS, example, models } from "./api.js";
import * as dots from "./dots.js";
import { Photo } from "./photo.js";

const AT_ONCE = 2; // photos that a page has in work; the server may have other visitors
const PATIENCE = 150; // milliseconds that a slider rests before its value is used
const READY = {
  false: "Ready. Move the divider to compare.",
  true: "Ready. Click a place whose colour you know; drag its dot to move it.",
};

const byId = (id) => document.getElementById(id);
const limits = document.body.dataset;
const sliders = [...document.querySelectorAll("[data-control]")];
const photos = [];
let shown = null;

// -- photos come in -------------------------------------------------------------------------------

function add(files) {
  const given = [...files];
  for (const file of given.filter(hasHints)) dots.load(file);
  const wanted = given.filter((file) => !hasHints(file) && isSmallEnough(file));
  const fresh = wanted.map((file) => new Photo(file, previewSide(), untouched()));
  if (!fresh.length) return;
  photos.push(...fresh);
  show(fresh[0]);
  for (const photo of fresh) enqueue(photo);
}

const hasHints = (file) => shown?.colour && file.name.endsWith(".json");

function isSmallEnough(file) {
  if (file.size <= Number(limits.maxBytes)) return true;
  refuse(file.name, `The file is too large: photos of up to ${limits.maxMegabytes} MB are taken here.`);
  return false;
}

// What is wished of a photo before anything is turned.
function untouched() {
  return Object.fromEntries(sliders.map((slider) => [slider.id, Number(slider.defaultValue)]));
}

// Sharp on this screen, and quick to make.
function previewSide() {
  const side = Math.max(screen.width, screen.height) * (devicePixelRatio || 1);
  return Math.round(Math.min(1600, Math.max(800, side)));
}

byId("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = ""; // the same photo may be chosen again
});

let depth = 0; // of elements that something is dragged over
addEventListener("dragenter", () => document.body.classList.toggle("dragging", ++depth > 0));
addEventListener("dragleave", () => document.body.classList.toggle("dragging", --depth > 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  document.body.classList.remove("dragging");
  add(event.dataTransfer.files);
});
addEventListener("paste", (event) => add(event.clipboardData.files));

for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", async () => {
    const name = button.dataset.example;
    add([new File([await example(name)], name, { type: "image/jpeg" })]);
  });
}

// -- previews are made, a few at a time -----------------------------------------------------------

const queue = [];
let busy = 0;

function enqueue(photo) {
  if (queue.includes(photo)) return;
  queue.push(photo);
  tell(photo, photo.step ?? "queueing");
  work();
}

async function work() {
  while (busy < AT_ONCE && queue.length) {
    busy++;
    // What is looked at comes first.
    const [photo] = queue.splice(Math.max(0, queue.indexOf(shown)), 1);
    make(photo).finally(() => {
      busy--;
      work();
    });
  }
}

async function make(photo) {
  try {
    await photo.preview((step, share) => tell(photo, step, share));
  } catch (problem) {
    if (problem.name === "AbortError") return; // a newer wish is in work
    refuse(photo.name, problem.message);
    if (!photo.colour) remove(photo);
  }
  if (!photo.working) tell(photo, null);
  render();
}

function tell(photo, step, share) {
  photo.step = step;
  if (photo !== shown) return;
  const said = step ? STEPS[step] : READY[dots.active()];
  byId("work").classList.toggle("waiting", Boolean(step));
  if (byId("status").textContent !== said) byId("status").textContent = said;
  if (step === "sending" && share !== undefined) byId("progress").value = share;
  else byId("progress").removeAttribute("value");
}

// -- what is shown --------------------------------------------------------------------------------

function show(photo) {
  shown = photo;
  for (const name of [...sliders.map((slider) => slider.id), "model", "format"]) {
    if (photo.wish[name] !== "" || name === "format") byId(name).value = photo.wish[name];
  }
  byId("saved").textContent = "";
  tell(photo, photo.step);
  render();
}

function remove(photo) {
  photos.splice(photos.indexOf(photo), 1);
  if (photo === shown) shown = photos.at(-1) || null;
  if (shown) show(shown);
}

function render() {
  document.body.classList.toggle("working", photos.length > 0);
  byId("work").hidden = !shown;
  if (shown) {
    byId("name").textContent = shown.name;
    picture("colour", shown.colour, `${shown.name} in colour`);
    picture("grey", shown.grey, `${shown.name} in grey`);
    byId("pictures").classList.toggle("ready", Boolean(shown.colour));
    byId("split").disabled = byId("download").disabled = !shown.colour;
    byId("frame-control").hidden = shown.wish.frame === null;
    byId("frame").value = (shown.wish.frame ?? 0) + 1;
    for (const slider of sliders) byId(`${slider.id}-value`).value = Number(slider.value).toFixed(2);
  }
  dots.show(shown);
  byId("download-all").hidden = photos.length < 2;
  byId("album").hidden = photos.length < 2;
  byId("photos").replaceChildren(...photos.map(entry));
}

function picture(id, address, text) {
  const image = byId(id);
  image.hidden = !address;
  if (address && image.src !== address) image.src = address;
  image.alt = text;
}

function entry(photo) {
  const button = document.createElement("button");
  const image = document.createElement("img");
  const name = document.createElement("span");
  button.type = "button";
  button.setAttribute("aria-current", photo === shown);
  button.addEventListener("click", () => show(photo));
  image.alt = "";
  if (photo.colour) image.src = photo.colour;
  name.textContent = photo.name;
  button.append(image, name);
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function refuse(name, reason) {
  const item = document.createElement("li");
  const text = document.createElement("p");
  const title = document.createElement("strong");
  const close = document.createElement("button");
  title.textContent = `${name}: `;
  text.append(title, reason);
  close.type = "button";
  close.textContent = "×";
  close.setAttribute("aria-label", `Dismiss: ${name}`);
  close.addEventListener("click", () => item.remove());
  item.append(text, close);
  byId("refusals").append(item);
}

// -- controls -------------------------------------------------------------------------------------

byId("split").addEventListener("input", (event) => {
  byId("pictures").style.setProperty("--split", `${event.target.value}%`);
});

function wish(name, value) {
  shown.wish[name] = value;
  render();
  renew(shown);
}

const resting = new Map(); // photo -> timer
function renew(photo) {
  clearTimeout(resting.get(photo));
  const begin = () => {
    resting.delete(photo);
    photo.working?.abort();
    enqueue(photo);
  };
  resting.set(photo, setTimeout(begin, PATIENCE));
}

for (const slider of sliders) {
  slider.addEventListener("input", () => wish(slider.id, Number(slider.value)));
}
byId("model").addEventListener("change", (event) => wish("model", event.target.value));
byId("frame").addEventListener("change", (event) => wish("frame", Math.max(0, event.target.value - 1)));
byId("format").addEventListener("change", (event) => (shown.wish.format = event.target.value));
byId("controls").addEventListener("submit", (event) => event.preventDefault());

byId("download").addEventListener("click", () => save([shown]));
byId("download-all").addEventListener("click", () => save(photos.filter((photo) => photo.colour)));

async function save(wanted) {
  const buttons = [byId("download"), byId("download-all")];
  for (const button of buttons) button.disabled = true;
  for (const photo of wanted) {
    byId("saved").textContent = `${STEPS.saving}: ${photo.name}`;
    try {
      const { blob, name, size, warnings } = await photo.result(new AbortController().signal);
      hand(blob, name);
      byId("saved").textContent = [`${name}, ${size.replace("x", " × ")} pixels`, ...warnings].join("; ");
    } catch (problem) {
      byId("saved").textContent = "";
      refuse(photo.name, problem.message);
    }
  }
  for (const button of buttons) button.disabled = false;
}

function hand(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

dots.start({ changed: renew, turned: () => tell(shown, shown.step), hand, refuse });

// -- what there is to choose from -----------------------------------------------------------------

models().then((names) => byId("model").append(...names.map((name) => new Option(name, name))));
