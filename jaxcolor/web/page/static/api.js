// The page's only way to the server: POST /v1/colorize, with patience when it is busy.
// The page without a server has a file of its own with the same functions in its place.

const RETRIES = 60;
const UNREACHABLE = "The server cannot be reached. Is it still running?";

/** What is said while a photo is waited for. */
export const STEPS = {
  sending: "Sending the photo",
  colouring: "Colouring",
  queueing: "The server is busy; waiting for a turn",
  saving: "Making the full-size result",
};

/** A refusal: `code` for programs, `message` for people. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * Colours a photo; waits and tries again while the server is busy or still starting.
 *
 * @param {Blob} photo the file's bytes
 * @param {Object} options of the API; those that are null or "" are left out
 * @param {AbortSignal} signal gives it up
 * @param {(step: "sending"|"colouring"|"queueing", share: number?) => void} told
 * @returns {Promise<{blob: Blob, model: string, size: string, warnings: string[]}>}
 * @throws {Refusal} and AbortError
 */
export async function colorize(photo, options, signal, told = () => {}) {
  const given = Object.entries(options).filter(([, value]) => value !== null && value !== "");
  const url = `v1/colorize?${new URLSearchParams(given)}`;
  for (let attempt = 0; ; attempt++) {
    const answer = await send(url, photo, signal, told);
    if (answer.status === 200) {
      return {
        blob: answer.response,
        size: answer.getResponseHeader("Jaxcolor-Size"),
        warnings: JSON.parse(answer.getResponseHeader("Jaxcolor-Warnings") || "[]"),
      };
    }
    const problem = await reason(answer);
    if (![429, 503].includes(answer.status) || attempt === RETRIES) throw problem;
    told("queueing");
    await pause(Number(answer.getResponseHeader("Retry-After") || 5), signal);
  }
}

/** Names of the models, the default one first. */
export async function models() {
  const answer = await fetch("v1/models");
  return (await answer.json()).models.map((model) => model.name);
}

/** One of the photos to try, by its name. */
export async function example(name) {
  return (await fetch(`static/examples/${name}`)).blob();
}

// fetch does not tell how much of a photo has been sent; XMLHttpRequest does.
function send(url, photo, signal, told) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open("POST", url);
    request.responseType = "blob";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => told("sending", event.loaded / event.total);
    request.upload.onload = () => told("colouring");
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Refusal("unreachable", UNREACHABLE));
    request.onabort = () => reject(new DOMException("given up", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", abort);
    signal.addEventListener("abort", abort);
    if (signal.aborted) return reject(new DOMException("given up", "AbortError"));
    told("sending"); // small photos have been sent before there is any progress
    request.send(photo);
  });
}

async function reason(answer) {
  try {
    const problem = JSON.parse(await answer.response.text());
    return new Refusal(problem.code, problem.detail);
  } catch {
    return new Refusal("unknown", `The server answered with ${answer.status}.`);
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("given up", "AbortError"));
    });
  });
}
