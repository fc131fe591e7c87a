// Responses and conversations: the list, and what is open beside it.

import { call, id } from "./api.mjs";
import { $, h, when } from "./dom.mjs";
import { showConversations } from "./form.mjs";
import { itemView, problem } from "./items.mjs";
import { access } from "./log/access.mjs";
import { detail, readWhole, table } from "./log/detail.mjs";
import { LogList } from "./log/list.mjs";
import { TalkList } from "./log/talks.mjs";
import { address, readAddress } from "./log/query.mjs";
import { conversations, responses } from "./memory.mjs";
import { WORKING } from "./thread/run.mjs";

export class Library {
  #list = new LogList();
  #talks = new TalkList();
  #open = null; // [id, what was read]

  constructor(playground) {
    this.playground = playground;
    $("find").addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = $("find-id").value.trim();
      if (wanted) location.hash = address(wanted, {});
      $("find-id").value = "";
    });
    $("reading-close").addEventListener("click", () => (location.hash = address(readAddress().id.startsWith("conv") ? "conversations" : "", readAddress().filters)));
    $("list-conversations").addEventListener("click", () => (location.hash = "library/conversations"));
    $("list-responses").addEventListener("click", () => (location.hash = "library"));
  }

  // Shows what the address names. `force`: the list is read anew.
  async show(force = false) {
    const { id: wanted } = readAddress();
    const talks = wanted === "conversations" || wanted.startsWith("conv");
    for (const [name, yes] of [["conversations", talks], ["responses", !talks]]) $(`list-${name}`).setAttribute("aria-pressed", yes);
    $("log").hidden = talks;
    $("talks").hidden = !talks;
    const key = wanted === "conversations" ? "" : wanted;
    $("library").classList.toggle("reads", Boolean(key));
    if (talks) this.#talks.show(key, { force });
    else this.#list.show({ force });
    if (key === this.#open) return;
    this.#open = key;
    await this.#read(key);
  }

  async #read(key) {
    if (!key) return this.#fill();
    try {
      const parts = await (key.startsWith("conv") ? this.#conversation(key) : this.#response(key));
      if (this.#open === key) this.#fill(...parts);
    } catch (error) {
      if (this.#open !== key) return;
      this.#fill(problem(error.message, error.code));
      if (error.status === 404) this.#fill(problem(error.message, error.code), h("p.note", {}, "It was deleted, has expired, was made with store: false, or belongs to another owner."));
    }
  }

  async #response(key) {
    const whole = await readWhole(key);
    const { response, input } = whole;
    const working = response.background && WORKING.includes(response.status);
    const actions = working
      ? [whole.own ? button("Watch it", () => this.#leave(() => this.playground.watch(response, input))) : null]
      : [button("Fork", () => this.#leave(() => this.playground.forkRequest(whole)), "", "Copy the request into the playground"),
        whole.own && (response.status === "completed" || response.status === "incomplete") ? button("Continue", () => this.#leave(() => this.#goOn(whole)), "quiet", "Begin a thread after this response") : null];
    return detail(whole, [...actions, deleter(() => this.#delete([key]))].filter(Boolean));
  }

  async #goOn({ response }) {
    const input = await call("GET", `/v1/responses/${id(response.id)}/input_items?order=asc&limit=100`);
    this.playground.fork(response, [...input.data, ...response.output]);
  }

  // Conversations

  async #conversation(key) {
    const path = (await access()).talk(key);
    const [conversation, items] = await Promise.all([call("GET", path), call("GET", `${path}/items?order=asc&limit=100`)]);
    const { own = true, owner } = conversation; // an operator reads those of others, too
    if (own) conversations.put({ id: key, created_at: conversation.created_at });
    const metadata = Object.entries(conversation.metadata ?? {}).map(([name, value]) => `${name}=${value}`).join(", ");
    const made = h("a", { href: address("", { conversation: key }) }, "its responses");
    return [h("h2", {}, conversations.get(key)?.title || conversation.question || "Conversation"), h("p.id", {}, key), table({ created: when(conversation.created_at), owner: own ? null : owner, metadata, responses: made }),
      h("div.actions", {}, own ? button("Continue", () => this.#leave(() => this.playground.converse(key, items.data))) : "", deleter(() => this.#deleteTalk(path, key))),
      ...items.data.map((item) => itemView(item)), items.has_more ? h("p.note", {}, "These are the first 100 items.") : ""];
  }

  async #deleteTalk(path, key) {
    try {
      await call("DELETE", path);
      conversations.remove(key);
      showConversations();
      location.hash = address("conversations", readAddress().filters);
      this.show(true);
    } catch (error) {
      this.#fill(problem(error.message, error.code));
    }
  }

  async #delete(ids) {
    try {
      for (const key of ids) {
        await call("DELETE", `/v1/responses/${id(key)}`).catch((error) => this.#deleteAnothers(key, error));
        responses.remove(key);
      }
      this.#list.gone(ids);
    } catch (error) {
      this.#fill(problem(error.message, error.code));
    }
  }

  // An operator's key deletes what is another owner's by a route of its own.
  async #deleteAnothers(key, error) {
    if (error.status !== 404) throw error;
    await call("POST", "/admin/responses/delete", { ids: [key] });
  }

  // Switches to the playground, and goes on once it is visible: hidden elements take no focus.
  #leave(then) {
    addEventListener("hashchange", () => {
      showConversations();
      then();
    }, { once: true });
    location.hash = "play";
  }

  #fill(...parts) {
    $("reading-body").replaceChildren(...parts.filter(Boolean));
    $("reading").scrollTop = 0;
  }
}

const button = (text, onclick, look = "", title = "") => h("button", { type: "button", onclick, className: look, title }, text);

// Asks for confirmation, in the button itself.
function deleter(then) {
  const made = button("Delete", () => {
    if (made.textContent !== "Delete") return then();
    made.textContent = "Delete permanently?";
    return setTimeout(() => (made.textContent = "Delete"), 4000);
  }, "quiet danger");
  return made;
}
