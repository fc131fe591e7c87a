// Bars stacked by series, one for each day, as SVG. Its numbers stand in a table beside it.

const NS = "http://www.w3.org/2000/svg";
const [WIDEST, HEIGHT, LEFT, BOTTOM, TOP] = [960, 220, 64, 24, 8];
const NAME = 80; // pixels that the name of a day takes
export const COLOURS = 8;

function s(name, properties = {}, ...children) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// days: ["2030-01-31"], series: [{ name, values: [number of each day] }], told: number → text, room: pixels
export function bars(label, days, series, told, room) {
  const width = Math.max(Math.min(room, WIDEST), 240);
  const sums = days.map((_, at) => series.reduce((sum, one) => sum + one.values[at], 0));
  const most = nice(Math.max(...sums, 0));
  const step = (width - LEFT) / Math.max(days.length, 1);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const marks = [0, most / 2, most].map((value) => s("g", {}, s("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
    s("text", { class: "axis", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, told(value))));
  const every = Math.ceil(days.length / Math.max(Math.floor((width - LEFT) / NAME), 1));
  const names = days.map((name, at) => (at % every ? null : s("text", { class: "axis", x: LEFT + step * (at + 0.5), y: HEIGHT - 6, "text-anchor": "middle" }, name.slice(5))));
  const stacks = days.map((name, at) => stack(name, at, series, { step, y, told }));
  return s("svg", { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": label }, ...marks, ...names.filter(Boolean), ...stacks);
}

function stack(name, at, series, { step, y, told }) {
  let below = 0;
  const parts = series.map((one, index) => {
    const value = one.values[at];
    const from = below;
    below += value;
    if (!value) return null;
    const box = { x: LEFT + step * at + step * 0.12, width: step * 0.76, y: y(below), height: Math.max(y(from) - y(below), 0.5) };
    return s("rect", { class: `series-${index % COLOURS}`, ...box }, s("title", {}, `${name}, ${one.name || "–"}: ${told(value)}`));
  });
  return s("g", {}, ...parts.filter(Boolean));
}

// The next round number.
function nice(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= value);
}
