// Stored responses and conversations: browse, read, fork, delete.

import { call, id } from "./api.mjs";
import { $, h, laidOut, pretty, seconds, short, when } from "./dom.mjs";
import { showConversations } from "./form.mjs";
import { itemView, problem } from "./items.mjs";
import { code } from "./markdown.mjs";
import { conversations, responses } from "./memory.mjs";
import { WORKING } from "./thread/run.mjs";

const PAGE = 50;

export class Library {
  #kind = "responses";
  #after = "";
  #shown = new Map();

  constructor(playground) {
    this.playground = playground;
    for (const kind of ["responses", "conversations"]) $(`list-${kind}`).addEventListener("click", () => this.list(kind));
    $("more").addEventListener("click", () => this.#fetchMore());
    $("find").addEventListener("submit", (event) => {
      event.preventDefault();
      if ($("find-id").value.trim()) location.hash = `library/${$("find-id").value.trim()}`;
    });
  }

  // Lists the entries known to this browser and, with the scope admin, those of the server.
  async list(kind = this.#kind) {
    this.#kind = kind;
    for (const one of ["responses", "conversations"]) $(`list-${one}`).setAttribute("aria-pressed", one === kind);
    const known = kind === "responses" ? responses : conversations;
    this.#shown = new Map(known.list().map((entry) => [entry.id, entry]));
    this.#after = "";
    $("more").hidden = true;
    $("shelf-note").textContent = this.#shown.size ? "" : `No ${kind} yet.`;
    this.#draw();
    if (kind === "responses") await this.#fetchMore();
  }

  async #fetchMore() {
    try {
      const page = await call("GET", `/admin/responses?limit=${PAGE}${this.#after && `&after=${this.#after}`}`);
      for (const one of page.data) this.#shown.set(one.id, { ...this.#shown.get(one.id), ...one });
      this.#after = page.last_id ?? "";
      $("more").hidden = !page.has_more;
      $("shelf-note").textContent = this.#shown.size ? "" : "No responses yet.";
      this.#draw();
    } catch (error) {
      $("shelf-note").textContent = error.status === 401 || error.status === 403 ? "Responses made on this page. A key with the scope admin lists all stored responses of its owner." : error.message;
    }
  }

  #draw() {
    const entries = [...this.#shown.values()].sort((one, other) => (one.id < other.id ? 1 : -1));
    const open = location.hash.split("/")[1];
    $("shelf").replaceChildren(...entries.map((entry) => h("li", {}, h("a", { href: `#library/${entry.id}`, "aria-current": entry.id === open ? "page" : null },
      h("span.title", {}, entry.title || short(entry.id)), h("span.note", {}, [entry.model, entry.status === "completed" ? "" : entry.status, when(entry.created_at)].filter(Boolean).join(" · "))))));
  }

  async open(key) {
    $("find-id").value = "";
    this.#draw();
    if (!key) return this.#show(h("p.note", {}, "Select a response or conversation, or open one by its id."));
    try {
      await (key.startsWith("conv") ? this.#conversation(key) : this.#response(key));
    } catch (error) {
      this.#show(problem(error.message, error.code));
      if (error.status === 404) this.#show(problem(error.message, error.code), h("p", {}, button("Remove from this list", () => this.#forget(key))));
    }
    return undefined;
  }

  async #response(key) {
    const path = `/v1/responses/${id(key)}`;
    const [response, input] = await Promise.all([call("GET", path), call("GET", `${path}/input_items?order=asc&limit=100`)]);
    const items = [...input.data, ...response.output];
    const kept = responses.get(key);
    const working = response.background && WORKING.includes(response.status);
    const facts = {
      model: response.model,
      status: response.status,
      made: when(response.created_at),
      tokens: response.usage && `${response.usage.input_tokens} in, ${response.usage.output_tokens} out`,
      "first token": kept?.first && seconds(kept.first),
      took: kept?.total && seconds(kept.total),
      continues: response.previous_response_id && h("a", { href: `#library/${response.previous_response_id}` }, short(response.previous_response_id)),
      conversation: response.conversation && h("a", { href: `#library/${response.conversation.id}` }, short(response.conversation.id)),
    };
    this.#show(h("h2", {}, kept?.title || "Response"), h("p.id", {}, key), table(facts),
      h("div.actions", {},
        working ? button("Watch it", () => this.#leave(() => this.playground.watch(response, input.data))) : button("Fork", () => this.#leave(() => this.playground.fork(response, items))),
        deleter(() => this.#delete(path, key, responses))),
      input.has_more ? h("p.note", {}, "The first 100 items of its input:") : "",
      ...items.map(itemView), raw(response));
  }

  async #conversation(key) {
    const path = `/v1/conversations/${id(key)}`;
    const [conversation, items] = await Promise.all([call("GET", path), call("GET", `${path}/items?order=asc&limit=100`)]);
    conversations.put({ id: key, created_at: conversation.created_at });
    const metadata = Object.keys(conversation.metadata ?? {}).length ? laidOut(JSON.stringify(conversation.metadata)) : null;
    this.#show(h("h2", {}, conversations.get(key)?.title || "Conversation"), h("p.id", {}, key), table({ made: when(conversation.created_at), metadata }),
      h("div.actions", {}, button("Go on", () => this.#leave(() => this.playground.converse(key, items.data))), deleter(() => this.#delete(path, key, conversations))),
      ...items.data.map(itemView), items.has_more ? h("p.note", {}, "These are the first 100 items.") : "");
  }

  // Switches to the playground, and goes on once it is visible: hidden elements take no focus.
  #leave(then) {
    addEventListener("hashchange", () => {
      showConversations();
      then();
    }, { once: true });
    location.hash = "play";
  }

  async #delete(path, key, memory) {
    try {
      await call("DELETE", path);
      memory.remove(key);
      location.hash = "library";
      await this.list();
      showConversations();
    } catch (error) {
      this.#show(problem(error.message, error.code));
    }
  }

  #forget(key) {
    responses.remove(key);
    conversations.remove(key);
    location.hash = "library";
    this.list();
  }

  #show(...parts) {
    $("reading").replaceChildren(...parts.filter(Boolean));
    $("reading").scrollTop = 0;
  }
}

const button = (text, onclick, look = "") => h("button", { type: "button", onclick, className: look }, text);

// Asks for confirmation, in the button itself.
function deleter(then) {
  const made = button("Delete", () => {
    if (made.textContent !== "Delete") return then();
    made.textContent = "Delete permanently?";
    return setTimeout(() => (made.textContent = "Delete"), 4000);
  }, "quiet danger");
  return made;
}

function table(facts) {
  const rows = Object.entries(facts).filter(([, value]) => value);
  return h("dl", {}, ...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function raw(response) {
  const details = h("details.raw", {}, h("summary", {}, "JSON"));
  details.addEventListener("toggle", () => details.append(code(pretty(response), "json")), { once: true });
  return details;
}
