// The playground: a thread, or two side by side; the composer; the events of the last request.

import { $, h, rate, seconds, short } from "./dom.mjs";
import { fillForm, readForm, showConversations } from "./form.mjs";
import { problem } from "./items.mjs";
import { earlier, ELSEWHERE, inputOf, isRedacted, requestOf } from "./log/fork.mjs";
import { textOf } from "./parts.mjs";
import { Attachments } from "./thread/attachments.mjs";
import { Compare } from "./thread/compare.mjs";
import { Lane, message } from "./thread/lane.mjs";
import { Run } from "./thread/run.mjs";
import { setUpSnippets } from "./thread/snippets.mjs";
import { Timeline } from "./thread/timeline.mjs";
import { Turn } from "./thread/turn.mjs";
import { preferences } from "./view/preferences.mjs";

const TITLE = "Antiphon";

export class Playground {
  #ticker = 0;
  #editing = null; // the turn whose prompt is in the composer

  constructor() {
    this.timeline = new Timeline();
    this.attachments = new Attachments();
    this.lane = new Lane("a", $("thread"), () => this.#settings(), this);
    this.compare = new Compare(this);
    this.watched = this.lane; // whose events are shown
    $("composer").addEventListener("submit", (event) => this.#submit(event));
    $("stop").addEventListener("click", () => this.#stop());
    $("fresh").addEventListener("click", () => this.fresh());
    $("export").addEventListener("click", () => this.#export());
    $("not-editing").addEventListener("click", () => this.#edited(null));
    $("input").addEventListener("keydown", (event) => this.#key(event));
    $("play").addEventListener("keydown", (event) => event.key === "Escape" && this.#stop());
    addEventListener("pagehide", () => this.lanes.forEach((lane) => lane.leave()));
    addEventListener("pageshow", () => this.lanes.forEach((lane) => (lane.left = false)));
    addEventListener("preferences", () => this.#hint());
    setUpSnippets(() => this.lane.body(this.#items() ?? [message("Say hello in five languages.")]));
    this.#hint();
    this.#welcome();
  }

  get lanes() {
    return [this.lane, this.compare.lane].filter(Boolean);
  }

  // The tab's: the thread's last prompt.
  get title() {
    return `${this.lane.title ? `${this.lane.title.slice(0, 40)} · ` : ""}${TITLE}`;
  }

  get running() {
    return this.lanes.some((lane) => lane.run);
  }

  #settings() {
    const settings = readForm();
    if (!settings) return null;
    const conversation = this.compare.lane ? "" : $("conversation").value;
    return conversation ? { ...settings, conversation } : settings;
  }

  // Shows the thread that was here before a reload, and goes on with what runs in the background.
  async resume() {
    if (this.lane.restore()) this.#standing();
    await this.compare.restore();
    const saved = Run.kept();
    if (saved) await this.lane.resume(saved);
  }

  // Follows a stored response that is still being made.
  async watch(response, input) {
    await this.#begin();
    await this.lane.watch(response, input);
  }

  // Begins a thread after a stored response; `items` are shown as its history.
  async fork(response, items) {
    await this.#begin();
    this.lane.begin(items, response);
    if ([...$("model").options].some((option) => option.value === response.model)) $("model").value = response.model;
    this.#standing();
    $("input").focus();
  }

  // Copies the request of a stored response: settings, the thread before it, its prompt; all can be changed before it is sent.
  async forkRequest(whole) {
    const { items: before, lacking } = await earlier(whole);
    await this.#begin();
    const body = requestOf(whole);
    fillForm(body);
    const input = inputOf(whole);
    const done = (shown, response) => new Turn({ shown, status: "done", response: { output: [], ...response } });
    const turns = [];
    const continued = whole.response.previous_response_id;
    if (continued) turns.push(done(before, whole.own ? { id: continued, store: true } : { store: false }));
    if (input.before.length) turns.push(Object.assign(done(input.before, { store: false }), { basis: turns.map((turn) => turn.key) }));
    this.lane.load(turns);
    if (whole.own && whole.response.conversation) showConversations(whole.response.conversation.id);
    this.#compose(input.prompt?.content ?? "");
    this.#standing();
    const notes = [lacking || (!whole.own && whole.response.conversation && ELSEWHERE), isRedacted(body) && "Credentials of its MCP servers are not stored: enter them again.", !input.prompt && "Its input ended with outputs of tools: they are part of the thread, and are sent with the next prompt."];
    for (const note of notes.filter(Boolean)) $("thread").append(h("p.note", {}, note));
    $("input").focus();
  }

  async converse(conversation, items) {
    await this.#begin();
    this.lane.begin(items);
    showConversations(conversation);
    this.#standing();
    $("input").focus();
  }

  // Makes room for another thread.
  async #begin() {
    await Promise.all(this.lanes.map((lane) => lane.abandon()));
    this.fresh();
  }

  fresh() {
    if (this.running) return;
    for (const lane of this.lanes) lane.clear();
    this.timeline.clear();
    $("figures").textContent = "";
    for (const lane of this.lanes) lane.title = "";
    document.title = this.title;
    this.#edited(null);
    this.#welcome();
    this.#standing();
    $("input").focus();
  }

  #welcome() {
    for (const lane of this.lanes) lane.element.replaceChildren();
    $("thread").append(h("div.welcome", {}, h("p.lead", {}, "Send a prompt and watch the events of its response."),
      h("p", {}, "Request has every field of the API, Events every event of the response with its time, and the backend's Deltas. Responses made here can be continued, forked and deleted under ", h("a", { href: "#library" }, "Responses"), ".")));
  }

  // Composer

  #key(event) {
    if (event.key !== "Enter" || event.isComposing || event.altKey) return;
    const modified = event.metaKey || event.ctrlKey;
    if (!modified && (event.shiftKey || !preferences.enter)) return;
    event.preventDefault();
    $("composer").requestSubmit();
  }

  #hint() {
    const modifier = /Mac|iP/.test(navigator.platform) ? "⌘⏎" : "ctrl ⏎";
    document.querySelector("#send kbd").textContent = preferences.enter ? "⏎" : modifier;
  }

  // What is in the composer as items; null where it is empty.
  #items() {
    const text = $("input").value;
    const { parts } = this.attachments;
    if (!text.trim() && !parts.length) return null;
    return [message(parts.length ? [...(text.trim() ? [{ type: "input_text", text }] : []), ...parts] : text)];
  }

  async #submit(event) {
    event.preventDefault();
    await this.attachments.ready;
    const items = this.#items();
    if (this.running || !items) return;
    if (!$("model").value) return this.#noModel();
    const editing = this.#editing;
    const ends = this.lanes.map((lane) => (editing ? lane.turns.indexOf(editing.lane === lane ? editing.turn : lane.turns[editing.lane.turns.indexOf(editing.turn)]) : -1));
    if (this.lanes.some((lane) => !lane.body(items))) return;
    $("input").value = "";
    this.attachments.replace();
    this.#edited(null);
    await Promise.all(this.lanes.map((lane, index) => lane.send(items, ends[index] < 0 ? undefined : ends[index])));
  }

  #noModel() {
    $("thread").querySelector(".no-model")?.remove();
    const note = problem("No backend offers a model now.", $("health").textContent);
    note.classList.add("no-model");
    $("thread").append(note);
  }

  // Puts a turn's prompt back into the composer.
  edit(lane, turn) {
    if (this.running) return;
    this.#compose(turn.items[0].content);
    this.#edited({ lane, turn });
    $("input").focus();
  }

  #compose(content) {
    const parts = Array.isArray(content) ? content : [];
    $("input").value = Array.isArray(content) ? textOf(parts.filter((part) => part.type === "input_text")) : content;
    this.attachments.replace(parts.filter((part) => part.type !== "input_text"));
  }

  #edited(editing) {
    const was = this.#editing;
    this.#editing = editing;
    $("editing").hidden = !editing;
    was?.turn.element.classList.remove("edited");
    editing?.turn.element.classList.add("edited");
  }

  #stop() {
    for (const lane of this.lanes) lane.stop();
  }

  // What lanes tell

  began(lane) {
    if (lane === this.watched) this.timeline.clear();
    document.title = this.title;
    $("send").disabled = true;
    $("stop").hidden = false;
    clearInterval(this.#ticker);
    this.#ticker = setInterval(() => this.lanes.forEach((one) => one.run && this.#showFigures(one, one.run.figures)), 100);
  }

  took(lane, at, frame) {
    if (lane === this.watched) this.timeline.add(at, frame);
  }

  ended(lane, turn) {
    if (lane === this.watched) this.timeline.show();
    if (turn?.figures) this.#showFigures(lane, turn.figures);
    this.#standing();
    if (this.running) return;
    clearInterval(this.#ticker);
    $("send").disabled = false;
    $("stop").hidden = true;
  }

  // Shows the events of a lane's last request.
  watchLane(lane) {
    this.watched = lane;
    this.timeline.clear();
    for (const [at, frame] of lane.log) this.timeline.add(at, frame);
  }

  #standing() {
    const { last, turns, continued } = this.lane;
    if (!turns.length && !$("thread").querySelector(".welcome")) this.#welcome();
    $("fresh").hidden = $("export").hidden = !turns.length;
    $("continues").hidden = !last;
    const from = continued ? ["continues ", h("a", { href: `#library/${continued.response.id}` }, short(continued.response.id))] : ["sends the thread again"];
    $("continues").replaceChildren(...from, continued && continued !== last ? ", sends what came after it again" : "");
    $("kept").textContent = this.lanes.some((lane) => lane.tooLarge) ? "This thread is too large to be kept over a reload." : "";
  }

  #showFigures(lane, { first, total, tokens, exact, time }) {
    const figure = (value, name) => (value === "–" || value === "≈ 0" ? "" : h("span", {}, h("b", {}, value), ` ${name}`)); // what there is not yet is left out
    (lane.figures ?? $("figures")).replaceChildren(figure(seconds(first), "first token"), figure(`${exact ? "" : "≈ "}${tokens.toLocaleString("en")}`, "tokens"), figure(rate(tokens, time), "tokens/s"), figure(seconds(total), "total"));
  }

  #export() {
    const threads = this.lanes.map((lane) => lane.turns.flatMap((turn) => turn.history));
    const address = URL.createObjectURL(new Blob([JSON.stringify(threads.length > 1 ? threads : threads[0], null, 2)], { type: "application/json" }));
    Object.assign(document.createElement("a"), { href: address, download: "thread.json" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}
