// What of a photo the network sees, as jaxcolor/predict/framing.py has it: a shape near the photo's
// own, without a margin round it. `facts` are that module's numbers.

/** [height, width] of the shape in which a photo goes to the network. */
export function shapeFor(height, width, { size, multiple, ASPECTS, LONG }) {
  const aspect = Math.max(height, width) / Math.min(height, width);
  const off = (other) => Math.abs(Math.log(other / aspect));
  const near = ASPECTS.reduce((best, other) => (off(other) < off(best) ? other : best));
  const rounded = (length) => Math.max(1, Math.round(length / multiple)) * multiple;
  const short = rounded(size / Math.sqrt(Math.min(near, LONG)));
  const long = rounded(near <= LONG ? size * Math.sqrt(near) : short * near);
  return height > width ? [long, short] : [short, long];
}

/**
 * The part of a photo inside of its margin, found on its small copy.
 *
 * @param {Float32Array} small L
 * @param {number[]} shape its height and width
 * @returns {{top: number, bottom: number, left: number, right: number, rows: number[],
 *   columns: number[], isAll: boolean}} shares of height and width; 1 for the rows and columns of the
 *   small copy that are no margin
 */
export function content(small, [height, width], facts) {
  const row = (y) => small.subarray(y * width, (y + 1) * width);
  const column = (x) => Float32Array.from({ length: height }, (_, y) => small[y * width + x]);
  const [top, bottom] = margins(Array.from({ length: height }, (_, y) => row(y)), facts);
  const [left, right] = margins(Array.from({ length: width }, (_, x) => column(x)), facts);
  // Where a margin ends, a sample holds some of it and some of the picture.
  const share = (count, of) => (count > 0 ? count + 1 : 0) / of;
  const between = (start, end, count) =>
    Array.from({ length: count }, (_, i) => Number(i >= start && i < end));
  return {
    top: share(top, height),
    bottom: 1 - share(bottom, height),
    left: share(left, width),
    right: 1 - share(right, width),
    rows: between(top, height - bottom, height),
    columns: between(left, width - right, width),
    isAll: !(top || bottom || left || right),
  };
}

function margins(lines, facts) {
  const [above, below] = [run(lines, facts), run([...lines].reverse(), facts)];
  const alike =
    above.count > 0 && below.count > 0 && Math.abs(above.level - below.level) < 2 * facts.LEVEL;
  return [above, below].map(({ count, level }) => (isPaper(level, facts) || alike ? count : 0));
}

/** How many lines from the first on could be margin, and their L. */
function run(lines, facts) {
  const means = lines.map(mean);
  const level = means[0];
  const spread = (line, i) => Math.sqrt(mean(line.map((value) => (value - means[i]) ** 2)));
  const most = isPaper(level, facts) ? facts.PAPER_SPREAD : facts.LINE_SPREAD;
  let count = 0;
  while (
    count < lines.length &&
    spread(lines[count], count) < most &&
    Math.abs(means[count] - level) < facts.LEVEL
  ) {
    count++;
  }
  const beyond = lines[Math.min(count + 1, lines.length - 1)];
  const nearest = means[Math.max(count - 1, 0)];
  const ends = mean(beyond.map((value) => Math.abs(value - nearest))) > facts.EDGE;
  return { count: ends && count <= Math.floor(facts.MOST * lines.length) ? count : 0, level };
}

const isPaper = (level, { NEARLY }) => level < NEARLY || level > 100 - NEARLY;

function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
