// The list of events: each with its time, sequence number and an excerpt, and its JSON when it is opened.

import { $, h, pretty } from "../dom.mjs";

const MOST = 5000; // rows that are shown; all events are counted
const SLICE = 150; // rows that are made at once: a long queue is shown over several frames
const CHUNK = 100; // rows of a list: lists that are out of view are not laid out

function kind(type) {
  if (type.endsWith(".delta")) return "delta";
  if (/^(error|response\.(failed|cancelled))$/.test(type)) return "bad";
  if (/^response\.(queued|created|in_progress|completed|incomplete)$/.test(type)) return "life";
  return type === "keepalive" ? "delta" : "item";
}

function glimpse(event) {
  if (typeof event.delta === "string") return event.delta;
  if (event.item) return event.item.name ?? event.item.type;
  if (event.part) return event.part.type;
  return event.message ?? event.name ?? event.text ?? event.error?.message ?? "";
}

const WORDS = { CallStart: (one) => `[call ${one.name}] `, Finish: (one) => ` [${one.reason}]`, UsageReport: () => " [usage]", Relay: (one) => `[${one.type}] ` };

const REACH = { said: [0.72, 1], delta: [0.22, 0.62], item: [0.08, 0.62], life: [0, 0.62], bad: [0, 0.62] };

const heard = (said) => said.map((one) => WORDS[one.said]?.(one) ?? one.text ?? one.said).join("");

export class Timeline {
  #marks = [];
  #waiting = [];
  #frame = 0;
  #cost = 0;
  #events = 0;
  #shown = 0;
  #follows = true; // whether the newest row is in view

  constructor() {
    this.rows = $("rows");
    this.canvas = $("ticks");
    for (const name of ["deltas", "said"]) {
      $(`show-${name}`).addEventListener("change", (change) => this.rows.classList.toggle(`without-${name}`, !change.target.checked));
    }
    let top = 0;
    this.rows.addEventListener("scroll", () => {
      const { scrollTop, clientHeight, scrollHeight } = this.rows;
      if (scrollTop < top - 2) this.#follows = false; // the person reads further up
      if (scrollTop + clientHeight > scrollHeight - 40) this.#follows = true;
      top = scrollTop;
    }, { passive: true });
    new ResizeObserver(() => this.#draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    addEventListener("theme", () => this.#draw());
  }

  clear() {
    this.#marks = [];
    this.#events = this.#shown = 0;
    this.#follows = true;
    this.#waiting = [];
    this.rows.replaceChildren();
    this.#later();
  }

  // `at` is in seconds since the request was sent.
  add(at, frame) {
    if (frame.event) this.#events += 1;
    this.#marks.push([at, kindOf(frame)]);
    this.#waiting.push([at, frame]);
    this.#later();
  }

  #later() {
    this.#frame ||= setTimeout(() => this.show(), Math.min(80 + 5 * this.#cost, 500));
  }

  // Renders pending events, a slice of them in each frame.
  show() {
    clearTimeout(this.#frame);
    this.#frame = 0;
    const began = performance.now();
    for (const one of this.#waiting.splice(0, SLICE)) this.#append(one);
    if (this.#follows) this.rows.scrollTop = this.rows.scrollHeight;
    $("count").textContent = this.#events ? `${this.#events.toLocaleString("en")} events${this.#events > MOST ? `, ${MOST} shown` : ""}` : "";
    this.#draw();
    this.#cost = performance.now() - began;
    if (this.#waiting.length) this.#later();
  }

  #append(one) {
    if (this.#shown >= MOST) return;
    if (this.#shown % CHUNK === 0) this.rows.append(h("ol", { "aria-label": `Events from ${this.#shown + 1}` }));
    this.rows.lastChild.append(row(one));
    this.#shown += 1;
  }

  // A stroke for each event on the time axis of the response.
  #draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio;
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    const pen = this.canvas.getContext("2d");
    const style = getComputedStyle(this.canvas);
    const colours = Object.fromEntries(Object.keys(REACH).map((mark) => [mark, style.getPropertyValue(`--tick-${mark}`)]));
    pen.scale(scale, scale);
    const end = Math.max(this.#marks.at(-1)?.[0] ?? 0, 0.001);
    for (const [at, mark] of this.#marks) {
      const [top, bottom] = REACH[mark];
      pen.fillStyle = colours[mark];
      pen.fillRect(1 + (at / end) * (width - 3), top * height, mark === "delta" || mark === "said" ? 1 : 1.5, (bottom - top) * height);
    }
  }
}

// An event, a word of the backend, or an HTTP request and its answer where there are no events.
const kindOf = ({ event, exchange }) => (event ? kind(event.type) : exchange ? (exchange.bad ? "bad" : "life") : "said");

function row([at, frame]) {
  const { event, said, exchange } = frame;
  const value = event ?? exchange?.value ?? said;
  const name = event ? event.type.replace(/^response\./, "") : (exchange?.name ?? "backend");
  const number = event ? String(event.sequence_number) : exchange && !exchange.bad ? "→" : "←";
  const text = (event ? glimpse(event) : exchange ? (value.error?.message ?? value.message ?? "POST /v1/responses") : heard(said)).slice(0, 80).replaceAll("\n", "↵").replace(/^ +$/, "␣");
  const details = h("details", {}, h("summary", {},
    h("time", {}, at.toFixed(3)), h("span.number", {}, number), h("span.type", {}, name), h("span.glimpse", {}, text)));
  details.addEventListener("toggle", () => details.append(h("pre", { tabIndex: 0, "aria-label": name }, pretty(value))), { once: true });
  return h(`li.${kindOf(frame)}`, {}, details);
}
