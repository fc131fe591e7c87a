// Views of items: messages, reasoning, calls and their outputs. Each can be appended to while it is streamed.

import { footnotes, marked } from "./citations.mjs";
import { h, laidOut, pretty } from "./dom.mjs";
import { finished, grow, growth, unfinished } from "./hosted.mjs";
import { code, markdown } from "./markdown.mjs";

const textOf = (content) => (typeof content === "string" ? content : (content ?? []).map(partText).join("\n\n"));

function partText(part) {
  if (typeof part.text === "string") return part.text;
  if (typeof part.refusal === "string") return part.refusal;
  const name = part.filename ?? part.file_id ?? (part.image_url ?? "").slice(0, 60);
  return `*${part.type}* ${name}`;
}

const output = (value) => (typeof value === "string" ? value : textOf(value));

export class ItemView {
  #growth = growth();
  #due = 0;
  #cost = 0; // milliseconds that it took to lay the text out: the longer, the less often

  constructor(item) {
    this.item = item;
    this.body = h("div.body");
    this.element = make(item, this.body);
    this.#draw(true);
  }

  // Takes an event: a piece of its text, thoughts, arguments or input, a citation, how far a tool has come.
  take(event) {
    if (!grow(this.#growth, event)) return;
    this.#due ||= setTimeout(() => this.#draw(false), Math.min(30 + 5 * this.#cost, 1000));
  }

  // Takes the finished item.
  settle(item) {
    this.item = item;
    this.#growth = growth();
    this.#draw(true);
    return this;
  }

  #draw(whole) {
    clearTimeout(this.#due);
    this.#due = 0;
    const began = performance.now();
    const parts = whole ? content(this.item) : growing(this.item, this.#growth);
    this.body.replaceChildren(...parts);
    this.#cost = performance.now() - began;
    if (whole && !parts.length && this.item.status !== "in_progress") this.body.append(h("p.note", {}, "(empty)"));
  }
}

export const itemView = (item) => new ItemView(item).element;

function make(item, body) {
  const kind = item.type ?? "message";
  if (kind === "message") return h(`article.item.${item.role ?? "user"}`, { "aria-label": item.role ?? "user" }, h("p.who", {}, item.role === "user" ? "you" : item.role), body);
  if (kind === "reasoning") return h("details.item.reasoning", {}, h("summary", {}, "Thoughts"), body);
  return h("article.item.call", { "aria-label": kind }, h("p.who", {}, title(item)), body);
}

function title(item) {
  const name = item.name ?? item.server_label;
  return h("span", {}, item.type.replaceAll("_", " "), name ? h("strong", {}, ` ${item.namespace ? `${item.namespace}.` : ""}${name}`) : "");
}

const thoughts = (item) => [...(item.summary ?? []), ...(item.content ?? [])].map((part) => part.text).join("\n\n");

function content(item) {
  switch (item.type ?? "message") {
    case "message": {
      const text = textOf(item.content);
      if (item.role === "user") return [h("p.plain", {}, text)]; // as it was typed
      const annotations = annotationsOf(item);
      return text ? [markdown(marked(text, annotations)), ...footnotes(annotations)] : [];
    }
    case "reasoning":
      return thoughts(item) ? [markdown(thoughts(item))] : [h("p.note", {}, item.encrypted_content ? "sealed" : "none shown")];
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

function growing(item, state) {
  const text = state.text.join("");
  if (item.type === "message") return [markdown(marked(text, state.annotations)), ...footnotes(state.annotations)];
  if (item.type === "reasoning") return [markdown(text)];
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
