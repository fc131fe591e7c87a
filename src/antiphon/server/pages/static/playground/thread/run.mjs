// One request and its events: sent, followed, resumed after a reload, stopped; its figures.

import { ApiError, call, id, stream } from "../api.mjs";

const KEPT = "antiphon-run"; // a background run, kept so that a reload goes on behind the last event seen
const MOST_KEPT = 2_000_000; // characters

const clock = () => performance.timeOrigin + performance.now();

export const WORKING = ["queued", "in_progress"];
const ENDINGS = ["response.completed", "response.incomplete", "response.failed", "response.cancelled"];
const SPOKEN = /\.delta$/;

export class Run {
  #controller = new AbortController();
  #log = [];
  #saving = 0;

  // `resumable`: whether a reload goes on with it. `take(at, frame)` gets each event and Delta of the backend, `at` in seconds since the request was sent.
  constructor(body, take, resumable = true) {
    Object.assign(this, { body, resumable, response: null, error: null, began: clock(), first: null, last: null, end: null, deltas: 0, stopped: false, ignored: "" });
    this.sequence = -1;
    this.take = take;
  }

  static kept() {
    const text = sessionStorage.getItem(KEPT);
    return text && JSON.parse(text);
  }

  async send(listen) {
    const headers = listen && !this.body.background ? { "x-antiphon-trace": "deltas" } : {};
    await this.#read(() => stream("POST", "/v1/responses", { body: this.body, headers, signal: this.#controller.signal, head: (told) => (this.ignored = told.get("x-antiphon-ignored") ?? "") }, (frame) => this.#frame(frame)));
  }

  // Replays the events that were seen, then follows the rest.
  async resume(kept) {
    this.began = kept.began;
    for (const [at, event] of kept.log) this.#event(event, at);
    if (!this.end) await this.follow(this.response.id);
  }

  async follow(responseId) {
    const query = this.sequence >= 0 ? `&starting_after=${this.sequence}` : "";
    await this.#read(() => stream("GET", `/v1/responses/${id(responseId)}?stream=true${query}`, { signal: this.#controller.signal }, (frame) => this.#frame(frame)));
  }

  // A background response is cancelled on the server, which sends its end; any other ends with its connection.
  async stop() {
    this.stopped = true;
    if (this.body.background && this.response) await call("POST", `/v1/responses/${id(this.response.id)}/cancel`);
    else this.#controller.abort();
  }

  // Lets go of a stream; a background response goes on without a reader.
  abandon() {
    this.stopped = true;
    this.#controller.abort();
    this.#forget();
  }

  // A broken stream (also when the page is left) does not end a background response: its kept events stay.
  async #read(work) {
    try {
      await work();
      if (!this.end) this.#fail(new ApiError(0, { message: "The stream ended before the response was complete." }));
    } catch (error) {
      if (error.name !== "AbortError") this.#fail(error);
    }
    if (this.end || this.error?.status) this.#forget();
    this.end ??= this.#now();
  }

  // Where no event tells of the failure, the request and the answer to it do.
  #fail(error) {
    this.error = error;
    if (this.sequence < 0) this.take(0, { exchange: { name: "request", value: this.body } });
    this.take(this.#now(), { exchange: { name: error.status ? `HTTP ${error.status}` : "no answer", value: error.body ?? { message: error.message }, bad: true } });
  }

  #now() {
    return (clock() - this.began) / 1000;
  }

  #frame(frame) {
    if (frame.event) this.#event(frame.event, this.#now());
    else this.take(this.#now(), frame);
  }

  #event(event, at) {
    this.sequence = event.sequence_number ?? this.sequence;
    if (event.response) this.response = event.response;
    if (SPOKEN.test(event.type)) {
      this.first ??= at;
      this.last = at;
      this.deltas += 1;
    }
    if (ENDINGS.includes(event.type)) this.end = at;
    this.take(at, { event });
    if (this.body.background) this.#keep(event, at);
  }

  // Tokens as counted by the server, or one per delta while streaming; the time is from the first to the last.
  get figures() {
    const counted = this.response?.usage?.output_tokens;
    const end = this.end ?? this.#now();
    return { first: this.first, total: end, tokens: counted ?? this.deltas, exact: counted !== undefined, time: this.first === null ? 0 : (this.end ? this.last : end) - this.first };
  }

  #keep(event, at) {
    this.#log.push([at, event]);
    this.#saving ||= setTimeout(() => this.save(), 150);
  }

  save() {
    clearTimeout(this.#saving);
    this.#saving = 0;
    if (this.end || !this.response || !this.body.background || !this.resumable) return;
    const text = JSON.stringify({ body: this.body, began: this.began, log: this.#log });
    if (text.length < MOST_KEPT) sessionStorage.setItem(KEPT, text);
  }

  #forget() {
    clearTimeout(this.#saving);
    if (this.body.background && this.resumable) sessionStorage.removeItem(KEPT);
  }
}
