// Views of items: messages, reasoning, calls and their outputs. Each can be appended to while it is streamed.

import { footnotes, marked } from "./citations.mjs";
import { h, laidOut, pretty } from "./dom.mjs";
import { finished, grow, growth, unfinished } from "./hosted.mjs";
import { code, Flow } from "./markdown.mjs";
import { partText, shownParts, textOf } from "./parts.mjs";

const output = (value) => (typeof value === "string" ? value : textOf(value));

export class ItemView {
  #growth = growth();
  #due = 0;
  #cost = 0; // milliseconds that it took to lay the text out: the longer, the less often
  #settled = "";
  #raw = false;
  #flow = new Flow(h("div.text"));

  // `calls`: the calls of the thread by their call_id, which name their outputs.
  constructor(item, calls = new Map()) {
    this.item = item;
    this.body = h("div.body");
    this.element = make(item, this.body, calls);
    this.#draw(true);
  }

  // Takes an event: a piece of its text, thoughts, arguments or input, a citation, how far a tool has come.
  take(event) {
    if (!grow(this.#growth, event)) return;
    this.#due ||= setTimeout(() => this.#draw(false), Math.min(30 + 5 * this.#cost, 1000));
  }

  // Takes the finished item.
  settle(item) {
    const settled = JSON.stringify(item);
    if (settled === this.#settled) return this; // told twice: with its own event, and with the response
    this.#settled = settled;
    this.item = item;
    this.#growth = growth();
    this.#draw(true);
    return this;
  }

  // Shows the text as it came, or laid out.
  raw(yes) {
    this.#raw = yes;
    this.#draw(this.item.status !== "in_progress");
  }

  #draw(whole) {
    clearTimeout(this.#due);
    this.#due = 0;
    const began = performance.now();
    const text = flowing(this.item, this.#growth, whole);
    if (text) this.#showText(text, whole);
    else this.body.replaceChildren(...(whole ? content(this.item) : growing(this.item, this.#growth)));
    this.#cost = performance.now() - began;
    if (whole && !this.body.childNodes.length && this.item.status !== "in_progress") this.body.append(h("p.note", {}, "(empty)"));
  }

  #showText({ text, annotations }, whole) {
    if (this.#raw) return this.body.replaceChildren(h("pre.raw-text", {}, text));
    const { element } = this.#flow;
    if (element.parentNode !== this.body) this.body.replaceChildren(element);
    this.#flow.show(marked(text, annotations), whole);
    while (element.nextSibling) element.nextSibling.remove();
    return this.body.append(...footnotes(annotations));
  }
}

export const itemView = (item) => new ItemView(item).element;

// The views of a thread's items: outputs are named by their calls.
export function itemViews(items) {
  const calls = new Map(items.filter((item) => item.name && item.call_id).map((item) => [item.call_id, item]));
  return items.map((item) => new ItemView(item, calls));
}

function make(item, body, calls) {
  const kind = item.type ?? "message";
  if (kind === "message") return h(`article.item.${item.role ?? "user"}`, { "aria-label": item.role ?? "user" }, h("p.who", {}, item.role === "user" ? "you" : item.role), body);
  if (kind === "reasoning") return h("details.item.reasoning", {}, h("summary", {}, "Thoughts"), body);
  return h("article.item.call", { "aria-label": kind }, h("p.who", {}, title(item, calls.get(item.call_id))), body);
}

function title(item, call) {
  if (call && call !== item) return h("span", {}, "output of ", h("strong", {}, called(call)));
  const name = item.name ?? item.server_label;
  return h("span", {}, item.type.replaceAll("_", " "), name ? h("strong", {}, ` ${item.namespace ? `${item.namespace}.` : ""}${name}`) : "");
}

// A call as people write it: get_weather(city="Paris").
export function called(item) {
  const given = laidOut(item.arguments ?? "");
  let list = given;
  try {
    list = Object.entries(JSON.parse(given)).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ");
  } catch {
    list = item.input ?? given;
  }
  return `${item.name}(${list.length > 120 ? `${list.slice(0, 120)}…` : list})`;
}

const thoughts = (item) => [...(item.summary ?? []), ...(item.content ?? [])].map((part) => part.text).join("\n\n");

function content(item) {
  switch (item.type ?? "message") {
    case "message":
      return item.role === "user" ? shownParts(item.content) : []; // as it was typed
    case "reasoning":
      return [h("p.note", {}, item.encrypted_content ? "sealed" : "none shown")];
    case "function_call":
      return [code(laidOut(item.arguments || "{}"), "arguments")];
    case "custom_tool_call":
      return [code(item.input ?? "", "input")];
    case "function_call_output":
    case "custom_tool_call_output":
      return [code(laidOut(output(item.output)), "output")];
    case "mcp_call":
      return [code(laidOut(item.arguments || "{}"), "arguments"), code(item.error ? pretty(item.error) : laidOut(item.output ?? ""), item.error ? "error" : "output")];
    default:
      return finished(item) ?? [code(pretty(item), "item")];
  }
}

// Citations with positions in the text as it is shown: all parts of a message, a blank line between two.
function annotationsOf(item) {
  if (!Array.isArray(item.content)) return [];
  let before = 0;
  return item.content.flatMap((part) => {
    const moved = (part.annotations ?? []).map((one) => ({ ...one, index: (one.index ?? 0) + before }));
    before += [...partText(part)].length + 2;
    return moved;
  });
}

// Text that is laid out as Markdown, with its citations; null where an item has none.
function flowing(item, state, whole) {
  const kind = item.type ?? "message";
  if (kind === "reasoning") {
    const text = whole ? thoughts(item) : state.text.join("");
    return text ? { text, annotations: [] } : null;
  }
  if (kind !== "message" || item.role === "user") return null;
  if (!whole) return { text: state.text.join(""), annotations: state.annotations };
  const text = textOf(item.content);
  return text ? { text, annotations: annotationsOf(item) } : null;
}

function growing(item, state) {
  const text = state.text.join("");
  return unfinished(item, state) ?? [code(text, item.type === "custom_tool_call" ? "input" : "arguments")];
}

// An answer while it is streamed: events in, item views out.
export class AnswerView {
  #views = new Map();

  constructor() {
    this.element = h("div.answer", { "aria-live": "polite", "aria-busy": "true" });
  }

  take(event) {
    const view = this.#views.get(event.output_index);
    if (event.type === "response.output_item.added") this.#open(event.output_index, event.item);
    else if (event.type === "response.output_item.done") (view ?? this.#open(event.output_index, event.item)).settle(event.item);
    else view?.take(event);
  }

  // Shows the items of an ended response.
  end(response) {
    this.element.setAttribute("aria-busy", "false");
    for (const [index, item] of (response?.output ?? []).entries()) (this.#views.get(index) ?? this.#open(index, item)).settle(item);
    const note = ending(response);
    if (note) this.element.append(note);
  }

  raw(yes) {
    for (const view of this.#views.values()) view.raw(yes);
  }

  #open(index, item) {
    const view = new ItemView(item);
    if (view.element.matches(".reasoning")) view.element.open = item.status === "in_progress";
    for (const [earlier, other] of this.#views) if (earlier < index && other.element.matches(".reasoning")) other.element.open = false;
    this.#views.set(index, view);
    this.element.append(view.element);
    return view;
  }
}

function ending(response) {
  if (response?.error) return problem(response.error.message, response.error.code);
  if (response?.incomplete_details) return problem("The answer is incomplete.", response.incomplete_details.reason, flagged(response.moderation));
  if (flagged(response?.moderation)) return problem("Moderation has flagged this exchange.", flagged(response.moderation));
  if (response?.status === "cancelled") return problem("Cancelled.", "");
  return null;
}

// What moderation has flagged, or why it could not look, as one line.
function flagged(moderation) {
  const sides = Object.entries(moderation ?? {});
  const told = sides.map(([side, { type, message, categories }]) => {
    const names = Object.keys(categories ?? {}).filter((name) => categories[name]);
    return type === "error" ? `${side}: ${message}` : names.length ? `${side}: ${names.join(", ")}` : "";
  });
  return told.filter(Boolean).join(" · ");
}

export function problem(message, ...details) {
  return h("div.problem", { role: "alert" }, h("p", {}, message), h("p.note", {}, details.filter(Boolean).join(" · ")));
}
