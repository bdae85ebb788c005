// How things are moved over a picture: by mouse or finger, and by arrow keys.

import { at } from "./hints.js";

const STEP = 0.01; // of an arrow key, as a share; with Shift five times as far
const STILL = 4; // pixels that a press may move and is no drag
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Where an event of the pointer is in an element, as shares. */
export function placeOf(event, layer) {
  const box = layer.getBoundingClientRect();
  return at((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

/** Where an arrow key brings a place; null for another key. */
export function byArrow(event, { x, y }) {
  const way = ARROWS[event.key];
  if (!way) return null;
  event.preventDefault();
  const far = STEP * (event.shiftKey ? 5 : 1);
  return at(x + far * way[0], y + far * way[1]);
}

/**
 * Follows a press until it ends.
 *
 * @param {PointerEvent} start
 * @param {{x: number, y: number}} from where in the layer the pressed thing is
 * @param {HTMLElement} layer
 * @param {(place: {x: number, y: number}) => void} moved it is a drag, and has come there
 * @param {() => void} done it was one; comes before the click that ends it
 */
export function follow(start, from, layer, moved, done) {
  const thing = start.currentTarget;
  let isDrag = false;
  const move = (event) => {
    const [x, y] = [event.clientX - start.clientX, event.clientY - start.clientY];
    isDrag ||= Math.hypot(x, y) >= STILL;
    const box = layer.getBoundingClientRect();
    if (isDrag) moved(at(from.x + x / box.width, from.y + y / box.height));
  };
  const end = () => {
    thing.removeEventListener("pointermove", move);
    if (isDrag) done();
  };
  thing.setPointerCapture(start.pointerId);
  thing.addEventListener("pointermove", move);
  thing.addEventListener("lostpointercapture", end, { once: true });
}
