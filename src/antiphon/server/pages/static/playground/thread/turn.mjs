// A turn of a thread: what was sent, what came back, and what can be done with it.

import { copy, h } from "../dom.mjs";
import { AnswerView, ItemView, problem } from "../items.mjs";
import { textOf } from "../parts.mjs";

let made = 0;

export class Turn {
  // `data` is what `data()` gave. `basis`: keys of the turns that its response continues. `shown`: items of a stored thread.
  constructor(data = {}) {
    const fresh = { key: `${Date.now().toString(36)}-${(made += 1)}`, basis: [], items: [], shown: null, response: null, status: "running", ended: false, background: false, error: null, ignored: "", conversation: "", figures: null };
    Object.assign(this, fresh, data);
    this.element = h("section.turn", { "aria-label": "Turn" });
    this.answer = new AnswerView();
  }

  data() {
    const { element, answer, actions, ...data } = this;
    return data;
  }

  get done() {
    return this.status === "done";
  }

  // Whether it only answers calls of the turn before it.
  get answersCalls() {
    return this.items.length > 0 && this.items.every((item) => /_(output|approval_response)$/.test(item.type ?? ""));
  }

  // Its items as a later request repeats them.
  get history() {
    if (this.shown) return this.shown.filter((item) => item.type !== "reasoning");
    return [...this.items, ...(this.response?.output ?? []).filter((item) => item.type !== "reasoning")];
  }

  get prompt() {
    return this.items.map((item) => (item.type === "message" ? textOf(item.content) : "")).join("\n");
  }

  get text() {
    return (this.response?.output ?? []).filter((item) => item.type === "message").map((item) => textOf(item.content)).join("\n\n");
  }

  // Shows it as it stands. `doings`: what its buttons do, by name.
  draw(calls, doings) {
    const views = (this.shown ?? this.items).map((item) => new ItemView(item, calls).element);
    this.element.replaceChildren(...views, ...(this.shown ? [] : [this.answer.element]));
    if (this.status !== "running" && !this.shown) this.end(doings);
  }

  // Shows the end of its response, and the buttons.
  end(doings) {
    this.answer.end(this.ended ? this.response : null);
    if (this.ignored) this.answer.element.append(h("p.note.ignored", {}, `Not in effect here: ${this.ignored}`));
    if (this.status === "stopped") this.answer.element.append(h("p.note", {}, "stopped: this turn is not sent on"));
    if (this.error) this.element.append(failure(this.error));
    this.element.append(this.#bar(doings));
  }

  #bar(doings) {
    const raw = button("Raw", () => {
      const on = raw.getAttribute("aria-pressed") !== "true";
      raw.setAttribute("aria-pressed", on);
      this.answer.raw(on);
    }, "Show the text as the model wrote it");
    raw.setAttribute("aria-pressed", "false");
    const copier = button("Copy", () => copy(this.text, copier), "Copy the text of the answer");
    const all = this.text ? [copier, raw] : [];
    for (const [name, does, title] of doings(this)) all.push(button(name, does, title));
    return h("div.turn-actions", { role: "group", "aria-label": "Actions of this turn" }, ...all);
  }
}

const button = (text, onclick, title) => h("button.link", { type: "button", onclick, title }, text);

function failure(error) {
  const id = error.requestId ? `request ${error.requestId}` : "";
  return problem(error.message, error.status ? `HTTP ${error.status}` : "", error.code, error.param, id);
}
