// The playground: request form, answers, next steps.

import { call } from "./api.mjs";
import { $, copy, h, rate, seconds, short } from "./dom.mjs";
import { readForm, showConversations } from "./form.mjs";
import { AnswerView, ItemView, itemView, problem } from "./items.mjs";
import { conversations, responses } from "./memory.mjs";
import { Run, WORKING } from "./run.mjs";
import { snippet } from "./snippets.mjs";
import { Timeline } from "./timeline.mjs";

const CALLS = { function_call: "function_call_output", custom_tool_call: "custom_tool_call_output" };
const message = (text) => ({ type: "message", role: "user", content: text });

export class Playground {
  #run = null;
  #answer = null;
  #previous = null; // the response that the next one continues
  #context = []; // items of a thread that is not stored, sent again with each request
  #ticker = 0;

  constructor() {
    this.timeline = new Timeline();
    $("composer").addEventListener("submit", (event) => this.#submit(event));
    $("stop").addEventListener("click", () => this.#stop());
    $("fresh").addEventListener("click", () => this.fresh());
    $("code").addEventListener("click", () => this.#showCode());
    $("input").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) $("composer").requestSubmit();
    });
    $("play").addEventListener("keydown", (event) => event.key === "Escape" && this.#stop());
    addEventListener("pagehide", () => this.#run?.save());
    document.querySelector("#send kbd").textContent = /Mac|iP/.test(navigator.platform) ? "⌘⏎" : "ctrl ⏎";
    setUpSnippets(() => this.#draft());
    this.#welcome();
  }

  // Resumes a background response after a reload of the page.
  async resume() {
    const kept = Run.kept();
    if (!kept) return;
    this.#say(kept.body.input);
    await this.#follow(new Run(kept.body, (at, frame) => this.#take(at, frame)), (run) => run.resume(kept));
  }

  // Follows a stored response that is still being made.
  async watch(response, input) {
    this.fresh();
    for (const item of input) $("thread").append(itemView(item));
    await this.#follow(new Run({ ...response, input, background: true }, (at, frame) => this.#take(at, frame)), (run) => run.follow(response.id));
  }

  // Begins a thread after a stored response; `items` are shown as its history.
  fork(response, items) {
    this.fresh();
    $("thread").replaceChildren(...items.map(itemView));
    this.#continue(response);
    if ([...$("model").options].some((option) => option.value === response.model)) $("model").value = response.model;
    this.#askForOutputs(response);
    $("input").focus();
  }

  converse(conversation, items) {
    this.fresh();
    $("thread").replaceChildren(...items.map(itemView));
    showConversations(conversation);
    $("input").focus();
  }

  fresh() {
    if (this.#run) return;
    this.#previous = null;
    this.#context = [];
    this.timeline.clear();
    $("figures").textContent = "";
    this.#welcome();
    this.#continue(null);
    $("input").focus();
  }

  #welcome() {
    $("thread").replaceChildren(h("div.welcome", {}, h("p.lead", {}, "Send a prompt and watch the events of its response."),
      h("p", {}, "Left: the request. Right: every event of the response with its time, and the backend's Deltas. Responses made here can be continued, forked and deleted under ", h("a", { href: "#library" }, "Responses"), ".")));
  }

  // Sending

  #submit(event) {
    event.preventDefault();
    const text = $("input").value;
    if (this.#run || !text.trim()) return;
    this.#send([message(text)], text);
  }

  #draft(items = [message($("input").value || "Say hello in five languages.")], text = items[0].content) {
    const settings = readForm();
    if (!settings) return null;
    const chosen = $("conversation").value;
    const body = { model: settings.model, input: text ?? items };
    if (this.#context.length) body.input = [...this.#context, ...items];
    if (chosen && chosen !== "new") body.conversation = chosen;
    else if (this.#previous && !this.#context.length) body.previous_response_id = this.#previous.id;
    return { ...body, ...settings, stream: true };
  }

  async #send(items, text) {
    const body = this.#draft(items, text);
    if (!body) return;
    $("thread").querySelector(".welcome")?.remove();
    $("thread").querySelector(".outputs")?.remove();
    $("input").value = "";
    for (const item of items) $("thread").append(itemView(item));
    if ($("conversation").value === "new" && !(await this.#newConversation(body, text))) return;
    await this.#follow(new Run(body, (at, frame) => this.#take(at, frame)), (run) => run.send($("listen").checked), items, text);
  }

  async #newConversation(body, text) {
    try {
      const made = await call("POST", "/v1/conversations", {});
      conversations.put({ id: made.id, title: (text ?? "").slice(0, 80), created_at: made.created_at });
      body.conversation = made.id;
      delete body.previous_response_id;
      showConversations(made.id);
      return true;
    } catch (error) {
      this.#complain(error);
      return false;
    }
  }

  async #follow(run, work, items = [], text = "") {
    this.#run = run;
    this.timeline.clear();
    this.#answer = new AnswerView();
    $("thread").append(this.#answer.element);
    this.#busy(true);
    this.#toEnd(true);
    this.title = title(text || run.body.input);
    await work(run);
    this.#run = null;
    this.#busy(false);
    this.#ended(run, items);
  }

  #take(at, frame) {
    this.timeline.add(at, frame);
    const { event } = frame;
    if (!event) return;
    this.#answer.take(event);
    if (event.response && event.response.store) this.#remember(event.response);
    this.#toEnd();
  }

  #stop() {
    this.#run?.stop().catch((error) => this.#complain(error));
  }

  // Endings

  #ended(run, items) {
    const { response } = run;
    this.timeline.show();
    this.#showFigures(run);
    this.#answer.end(run.error || WORKING.includes(response?.status) ? null : response);
    if (run.ignored) this.#answer.element.append(h("p.note.ignored", {}, `Not in effect here: ${run.ignored}`));
    if (run.error) this.#complain(run.error);
    else if (run.stopped && WORKING.includes(response?.status)) this.#answer.element.append(h("p.note", {}, "stopped"));
    if (response && !WORKING.includes(response.status)) this.#finish(run, items);
    this.#toEnd(true);
  }

  #finish(run, items) {
    const { response, figures } = run;
    if (response.store) this.#remember(response, { first: figures.first, total: figures.total, tokens: figures.tokens, time: figures.time });
    if (response.status !== "completed" && response.status !== "incomplete") return;
    if (response.store) this.#context = [];
    else this.#context.push(...items, ...response.output.filter((item) => item.type !== "reasoning"));
    this.#continue(response);
    this.#askForOutputs(response);
  }

  #remember(response, figures = {}) {
    const { id: key, model, status, created_at, background, previous_response_id } = response;
    responses.put({ id: key, model, status, created_at, background, previous_response_id, title: responses.get(key)?.title ?? this.title, ...figures });
  }

  #continue(response) {
    this.#previous = response;
    $("fresh").hidden = !response;
    $("continues").hidden = !response;
    if (!response) return;
    const where = response.store ? h("a", { href: `#library/${response.id}` }, short(response.id)) : "a response that is not stored";
    $("continues").replaceChildren("continues ", where);
  }

  // Function calls that the client has to answer: a field for each, one button for all.
  #askForOutputs(response) {
    const calls = (response.output ?? []).filter((item) => item.type in CALLS);
    if (!calls.length) return;
    const fields = calls.map((item) => h("textarea", { rows: 2, required: true, spellcheck: false, id: `out-${item.call_id}`, placeholder: '{"result": …}' }));
    const form = h("form.outputs", {}, ...calls.flatMap((item, index) => [h("label", { htmlFor: fields[index].id }, "Output of ", h("strong", {}, item.name)), fields[index]]),
      h("div.actions", {}, h("button", {}, calls.length > 1 ? "Send the outputs" : "Send the output")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#run) this.#send(calls.map((item, index) => ({ type: CALLS[item.type], call_id: item.call_id, output: fields[index].value })));
    });
    $("thread").append(form);
    fields[0].focus({ preventScroll: true });
  }

  // Showing

  #say(input) {
    $("thread").replaceChildren(...(typeof input === "string" ? [message(input)] : input).map((item) => new ItemView(item).element));
  }

  #complain(error) {
    const retry = error.requestId ? `request ${error.requestId}` : "";
    $("thread").append(problem(error.message, error.status ? `HTTP ${error.status}` : "", error.code, error.param, retry));
    if (error.status === 401) $("key").focus();
  }

  #busy(yes) {
    $("send").disabled = yes;
    $("stop").hidden = !yes;
    clearInterval(this.#ticker);
    if (yes) this.#ticker = setInterval(() => this.#run && this.#showFigures(this.#run), 100);
  }

  #showFigures(run) {
    const { first, total, tokens, exact, time } = run.figures;
    const figure = (value, name) => h("span", {}, h("b", {}, value), ` ${name}`);
    $("figures").replaceChildren(figure(seconds(first), "first token"), figure(`${exact ? "" : "≈ "}${tokens.toLocaleString("en")}`, "tokens"), figure(rate(tokens, time), "tokens/s"), figure(seconds(total), "in all"));
  }

  #toEnd(always = false) {
    const thread = $("thread");
    if (always || thread.scrollTop + thread.clientHeight > thread.scrollHeight - 120) requestAnimationFrame(() => (thread.scrollTop = thread.scrollHeight));
  }

  #showCode() {
    const body = this.#draft();
    if (!body) return;
    $("snippets").showModal();
    document.querySelector("[data-language=curl]").click();
  }
}

function title(input) {
  const text = typeof input === "string" ? input : (input ?? []).map((item) => (typeof item.content === "string" ? item.content : item.output ?? "")).join(" ");
  return text.slice(0, 120);
}

function setUpSnippets(draft) {
  const buttons = [...document.querySelectorAll("[data-language]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const one of buttons) one.setAttribute("aria-pressed", one === button);
      $("snippet").textContent = snippet(button.dataset.language, draft());
    });
  }
  $("copy").addEventListener("click", () => copy($("snippet").textContent, $("copy")));
  $("close").addEventListener("click", () => $("snippets").close());
}

