// Colours of a picture's pixels.

const SIDE = 3; // grain is not what is meant
const pen = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE }).getContext("2d", {
  willReadFrequently: true,
});

/**
 * The mean colour of a few pixels of a picture.
 *
 * @param {HTMLImageElement|ImageBitmap} picture
 * @param {{x: number, y: number}} place shares of its width and height
 * @returns {number[]} RGB, from 0 to 255
 */
export function sample(picture, { x, y }) {
  const [width, height] = [picture.naturalWidth ?? picture.width, picture.naturalHeight ?? picture.height];
  const [wide, high] = [Math.min(SIDE, width), Math.min(SIDE, height)];
  const left = Math.round(Math.min(width - wide, Math.max(0, x * width - wide / 2)));
  const top = Math.round(Math.min(height - high, Math.max(0, y * height - high / 2)));
  pen.clearRect(0, 0, SIDE, SIDE);
  pen.drawImage(picture, left, top, wide, high, 0, 0, wide, high);
  const { data } = pen.getImageData(0, 0, wide, high);
  const mean = (channel) => {
    let sum = 0;
    for (let i = channel; i < data.length; i += 4) sum += data[i];
    return sum / (wide * high);
  };
  return [0, 1, 2].map(mean);
}
