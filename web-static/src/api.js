// What the page asks for, without a server: the same functions as the page's own api.js has.

import { Refusal } from "./refusal.js";

export { Refusal };

/** What is said while a photo is waited for. */
export const STEPS = {
  loading: "Loading the colorizer",
  colouring: "Colouring",
  queueing: "Waiting for another photo",
  saving: "Making the full-size result",
};

// -- parts: files that a script can load from a folder, where fetch may read nothing -----------------

const arrived = new Map(); // part -> what to do with it

/** Each file in parts/ calls it with its name and what it holds. */
globalThis.jaxcolorPart = (name, held) => arrived.get(name)(held);

function part(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `parts/${name}.js`;
    script.onerror = () => reject(new Refusal("not-loaded", `A file is missing: parts/${name}.js`));
    arrived.set(name, (held) => {
      script.remove();
      resolve(held);
    });
    document.head.append(script);
  });
}

// -- the worker -----------------------------------------------------------------------------------

const FAILED = "The photo cannot be coloured in this browser";
const tasks = new Map(); // number of a photo's wish -> {resolve, reject, told}
let count = 0;
let isReady = false;

const ready = begin();

async function begin() {
  const [source, runtime, model] = await Promise.all(["worker", "runtime", "model"].map(part));
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(address);
  worker.onmessage = ({ data: { id, step, result, refusal } }) => {
    const task = tasks.get(id);
    if (step) return task?.told(step);
    tasks.delete(id);
    if (refusal) task?.reject(new Refusal(refusal.code, refusal.message));
    else task?.resolve(result);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    for (const { reject } of tasks.values()) reject(new Refusal("internal", `${FAILED}: ${event.message}`));
    tasks.clear();
  };
  worker.postMessage({ start: { runtime, model: model.onnx, facts: model.facts } });
  isReady = true;
  return { worker, name: model.name };
}

const numbers = new WeakMap(); // blob -> its number, by which the worker knows it again

/**
 * Colours a photo.
 *
 * @param {Blob} photo the file's bytes
 * @param {Object} options saturation, refine, format, fit, hints
 * @param {AbortSignal} signal gives it up
 * @param {(step: string) => void} told
 * @returns {Promise<{blob: Blob, size: string, warnings: string[]}>}
 * @throws {Refusal} and AbortError
 */
export async function colorize(photo, options, signal, told = () => {}) {
  if (!isReady) told("loading");
  const { worker } = await ready;
  if (!numbers.has(photo)) numbers.set(photo, ++count);
  const id = ++count;
  return new Promise((resolve, reject) => {
    const abort = () => {
      worker.postMessage({ giveUp: id });
      tasks.delete(id);
      reject(new DOMException("given up", "AbortError"));
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    told("queueing");
    tasks.set(id, { resolve, reject, told });
    worker.postMessage({ id, photo: numbers.get(photo), blob: photo, options });
  });
}

/** The name of the one model; none where a part is missing, which every photo is told. */
export function models() {
  return ready.then(({ name }) => [name], () => []);
}

let examples = null;

/** One of the photos to try, by its name. */
export async function example(name) {
  examples ??= part("examples");
  const bytes = Uint8Array.from(atob((await examples)[name]), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: "image/jpeg" });
}
