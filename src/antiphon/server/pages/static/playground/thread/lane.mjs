// A lane: one thread with one set of settings. It sends, shows, repeats, edits and keeps turns.

import { call } from "../api.mjs";
import { $, h } from "../dom.mjs";
import { showConversations } from "../form.mjs";
import { conversations, responses } from "../memory.mjs";
import { textOf } from "../parts.mjs";
import { keep, kept } from "./keep.mjs";
import { outputsForm } from "./outputs.mjs";
import { Run, WORKING } from "./run.mjs";
import { Turn } from "./turn.mjs";

const FIRST = "a"; // the lane whose background responses go on after a reload
const STICKY = 80; // pixels from its end at which a thread follows what is written

export class Lane {
  turns = [];
  run = null;
  log = []; // events of the last request, with their times
  #sticks = true;

  // `settings()` gives the request without its input, or null. `owner` is told what happens: began, took, ended, edit.
  constructor(name, element, settings, owner) {
    Object.assign(this, { name, element, settings, owner });
    let top = 0;
    element.addEventListener("scroll", () => {
      if (element.scrollTop < top - 2) this.#sticks = false; // the person reads further up
      if (element.scrollTop + element.clientHeight > element.scrollHeight - STICKY) this.#sticks = true;
      top = element.scrollTop;
    }, { passive: true });
    this.sizes = new ResizeObserver(() => this.#sticks && (element.scrollTop = element.scrollHeight));
    this.sizes.observe(element);
  }

  get last() {
    return this.turns.findLast((turn) => turn.done) ?? null;
  }

  // The turn from whose response the next request goes on; what came after it is sent again.
  get continued() {
    const good = this.turns.filter((turn) => turn.done);
    return good[continued(good)] ?? null;
  }

  // Calls by their call_id: they name their outputs.
  get calls() {
    const all = this.turns.flatMap((turn) => turn.history);
    return new Map(all.filter((item) => item.name && item.call_id).map((item) => [item.call_id, item]));
  }

  // Requests

  // The body of a request with these items behind the turns before `end`.
  body(items, end = this.turns.length) {
    const settings = this.settings();
    if (!settings) return null;
    const { conversation, ...rest } = settings;
    if (conversation) return { model: rest.model, input: plain(items), conversation: conversation === "new" ? undefined : conversation, ...rest, stream: true };
    const good = this.turns.slice(0, end).filter((turn) => turn.done);
    const stored = continued(good);
    const repeated = good.slice(stored + 1).flatMap((turn) => turn.history);
    const body = { model: rest.model, input: plain([...repeated, ...items]) };
    if (stored >= 0) body.previous_response_id = good[stored].response.id;
    return { ...body, ...rest, stream: true };
  }

  async send(items, end = this.turns.length) {
    const body = this.body(items, end);
    if (!body || this.run) return false;
    this.#cut(end);
    const turn = new Turn({ items, background: Boolean(body.background), basis: this.turns.filter((one) => one.done).map((one) => one.key) });
    this.#add(turn);
    this.#changed();
    if ("conversation" in body && !(await this.#converse(turn, body))) return true;
    await this.#follow(turn, new Run(body, (at, frame) => this.#take(turn, at, frame), this.name === FIRST), (run) => run.send($("listen").checked));
    return true;
  }

  // Says in which conversation a turn is; makes a new one where that is wanted.
  async #converse(turn, body) {
    try {
      if (!body.conversation) {
        const made = await call("POST", "/v1/conversations", {});
        conversations.put({ id: made.id, title: turn.prompt.slice(0, 80), created_at: made.created_at });
        body.conversation = made.id;
        showConversations(made.id);
      }
      turn.conversation = body.conversation;
      return true;
    } catch (error) {
      this.#fail(turn, error);
      return false;
    }
  }

  async #follow(turn, run, work) {
    this.run = run;
    this.log = [];
    this.title = titleOf(turn) || titleOf({ items: run.body.input });
    this.owner.began(this);
    this.toEnd();
    this.working = work(run);
    await this.working;
    this.run = null;
    this.#ended(turn, run);
  }

  // Lets go of what runs, so that another thread can be shown.
  async abandon() {
    this.run?.abandon();
    await this.working;
  }

  #take(turn, at, frame) {
    this.log.push([at, frame]);
    this.owner.took(this, at, frame);
    const { event } = frame;
    if (!event) return;
    turn.answer.take(event);
    if (event.response?.store) this.#remember(event.response);
  }

  stop() {
    this.run?.stop().catch((error) => this.#fail(this.turns.at(-1), error));
  }

  // Ends

  #ended(turn, run) {
    const { response, figures } = run;
    const ended = response && !WORKING.includes(response.status);
    Object.assign(turn, { ended: Boolean(ended && !run.error), response: response ?? null, ignored: run.ignored, figures, error: run.error && told(run.error) });
    turn.status = turn.ended && ["completed", "incomplete"].includes(response.status) ? "done" : run.stopped && !ended ? "stopped" : "failed";
    if (ended && response.store) this.#remember(response, figures);
    turn.end((one) => this.#doings(one));
    if (turn.done) this.#askForOutputs(response);
    if (run.error?.status === 401) $("key").focus();
    this.#changed();
    this.owner.ended(this, turn);
  }

  #fail(turn, error) {
    Object.assign(turn, { status: "failed", error: told(error) });
    turn.end((one) => this.#doings(one));
    this.#changed();
    this.owner.ended(this, turn);
  }

  #remember(response, figures = {}) {
    const { id, model, status, created_at, background, previous_response_id } = response;
    const { first, total, tokens, time } = figures;
    responses.put({ id, model, status, created_at, background, previous_response_id, title: responses.get(id)?.title ?? this.title, ...(total === undefined ? {} : { first, total, tokens, time }) });
  }

  #askForOutputs(response) {
    const form = outputsForm(response, this.name, (items) => this.send(items));
    if (!form) return;
    this.element.append(form);
    form.querySelector("textarea").focus({ preventScroll: true });
    this.toEnd();
  }

  // Turns

  // What can be done with a turn: name, deed, title. What a conversation holds on the server stays as it is.
  #doings(turn) {
    const index = () => this.turns.indexOf(turn);
    const again = [turn.done ? "Regenerate" : "Retry", () => this.send(turn.items, index()), "Send this turn again; later turns are removed"];
    if (turn.conversation) return turn.done ? [] : [again];
    const edit = ["Edit", () => this.owner.edit(this, turn), "Put the prompt back into the field; later turns are removed when it is sent"];
    const remove = ["Delete", () => this.remove(turn), "Remove this turn from the thread"];
    return turn.answersCalls || !turn.items.length ? [again, remove] : [again, edit, remove];
  }

  // Removes a turn, with the turns that only answer its calls. A stored response stays on the server.
  remove(turn) {
    if (this.run) return;
    let first = this.turns.indexOf(turn);
    while (first > 0 && this.turns[first].answersCalls) first -= 1;
    let end = first + 1;
    while (this.turns[end]?.answersCalls) end += 1;
    for (const one of this.turns.splice(first, end - first)) this.#drop(one);
    this.#changed();
    this.owner.ended(this, null);
  }

  clear() {
    this.#cut(0);
    this.log = [];
    this.#changed();
  }

  // Shows items of a stored thread as its beginning; `response` is the one that is continued.
  begin(items, response = null, basis = {}) {
    this.clear();
    if (items.length) this.#add(new Turn({ shown: items, response: response ?? { output: [], store: false }, status: response ? "done" : "shown", ...basis }));
    if (response) this.#askForOutputs(response);
    this.#changed();
    this.toEnd();
  }

  // Shows turns in the place of its own.
  load(turns) {
    this.clear();
    for (const turn of turns) this.#add(turn);
    if (turns.at(-1)?.done) this.#askForOutputs(turns.at(-1).response);
    this.#changed();
    this.toEnd();
  }

  #add(turn) {
    this.element.querySelector(".welcome")?.remove();
    this.element.querySelector(".outputs")?.remove();
    this.turns.push(turn);
    turn.draw(this.calls, (one) => this.#doings(one));
    this.element.append(turn.element);
    this.sizes.observe(turn.element);
  }

  #cut(end) {
    for (const one of this.turns.splice(end)) this.#drop(one);
  }

  #drop(turn) {
    this.element.querySelector(".outputs")?.remove();
    this.sizes.unobserve(turn.element);
    turn.element.remove();
  }

  toEnd() {
    this.#sticks = true;
    this.element.scrollTop = this.element.scrollHeight;
  }

  // Keeping

  // The page is left: what runs breaks off, and stays as it is kept.
  leave() {
    this.run?.save();
    this.left = true;
  }

  #changed() {
    if (this.left) return;
    this.tooLarge = !keep(this.name, this.turns);
  }

  // Shows what was kept before a reload; a request that ran then has stopped, or goes on in the background. Tells whether there was something.
  restore() {
    const all = kept(this.name).filter((data) => data.status !== "running" || !(data.background && this.name === FIRST && Run.kept()));
    if (all.length) this.load(all.map((data) => new Turn(data.status === "running" ? { ...data, status: "stopped" } : data)));
    return all.length > 0;
  }

  // Goes on with a background response after a reload.
  async resume(saved) {
    const { input } = saved.body;
    const items = typeof input === "string" ? [message(input)] : input;
    const turn = new Turn({ items, background: true, basis: this.turns.filter((one) => one.done).map((one) => one.key) });
    this.#add(turn);
    await this.#follow(turn, new Run(saved.body, (at, frame) => this.#take(turn, at, frame)), (run) => run.resume(saved));
  }

  // Follows a stored response that is still being made.
  async watch(response, items) {
    this.clear();
    const turn = new Turn({ items });
    this.#add(turn);
    const body = { ...response, input: items, background: true };
    await this.#follow(turn, new Run(body, (at, frame) => this.#take(turn, at, frame)), (run) => run.follow(response.id));
  }
}

export const message = (content) => ({ type: "message", role: "user", content });

// Which of these turns a request goes on from: the last whose stored response stands for all before it.
const continued = (good) => good.findLastIndex((turn, index) => turn.response.store && same(turn.basis, good.slice(0, index)));

const same = (keys, turns) => keys.length === turns.length && turns.every((turn, index) => turn.key === keys[index]);

// A lone text is sent as such.
const plain = (items) => (items.length === 1 && items[0].type === "message" && typeof items[0].content === "string" ? items[0].content : items);

const told = ({ message: text, status, code, param, requestId }) => ({ message: text, status, code, param, requestId });

function titleOf({ items }) {
  const text = typeof items === "string" ? items : (items ?? []).map((item) => (item.content ? textOf(item.content) : (item.output ?? ""))).join(" ");
  return text.slice(0, 120);
}
