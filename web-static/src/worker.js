// Where the work is done, beside the page: one photo after the other.
//
// The page sends {start} once: parts as base64 of gzip, and facts. Then {id, photo, blob, options}
// for each photo that is wished, and {giveUp: id}. Back go {ready}, and {id} with a result, a
// refusal, or `step`.

import { paint, seen } from "./colouring.js";
import { loaded } from "./network.js";
import { Picture } from "./photo.js";
import { Refusal } from "./refusal.js";

const KEPT = 6; // answers of the network: they are small, and sliders ask for the same again
const answers = new Map(); // photo and size -> the picture small, in the network's colours
const givenUp = new Set();
const jobs = [];
let running = false;
let facts = null;
let network = null; // a promise

self.onmessage = ({ data }) => {
  if (data.start) start(data.start);
  else if (data.giveUp) givenUp.add(data.giveUp);
  else jobs.push(data);
  work();
};

function start(given) {
  facts = given.facts;
  network = Promise.all([unpacked(given.runtime), unpacked(given.model)])
    .then((parts) => loaded(...parts))
    .catch((problem) => {
      throw new Refusal("not-loaded", `The colorizer cannot be loaded: ${problem.message}`);
    });
  network.catch(() => {}); // every photo is told
}

async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function work() {
  if (running || !network || !jobs.length) return;
  running = true;
  const job = jobs.shift();
  try {
    const result = await coloured(job);
    self.postMessage({ id: job.id, result });
  } catch (problem) {
    const said = `The photo cannot be coloured in this browser: ${problem.message}`;
    const { code, message } = problem instanceof Refusal ? problem : new Refusal("internal", said);
    self.postMessage({ id: job.id, refusal: { code, message } });
  }
  givenUp.delete(job.id);
  running = false;
  work();
}

async function coloured({ id, photo, blob, options }) {
  const breathe = async () => {
    await new Promise((resolve) => setTimeout(resolve)); // so that messages come in
    if (givenUp.has(id)) throw new Refusal("given-up", "given up");
  };
  await breathe();
  self.postMessage({ id, step: "colouring" });
  const picture = await Picture.of(blob, options.fit, facts.page.maxPixels);
  picture.checkFormat(options.format);
  const key = `${photo} ${picture.width} ${picture.height}`;
  const small = answers.get(key) ?? (await seen(picture, await network, facts, breathe));
  keep(key, small);
  const hints = options.hints ? JSON.parse(options.hints) : [];
  await paint(picture, small, options, hints, facts, breathe);
  return picture.file(options.format);
}

function keep(key, small) {
  answers.delete(key);
  answers.set(key, small);
  if (answers.size > KEPT) answers.delete(answers.keys().next().value);
}
