// The list of the store's conversations: search in first and last words, more rows while it is scrolled.

import { call } from "../api.mjs";
import { $, h, when } from "../dom.mjs";
import { access } from "./access.mjs";
import { unmarked } from "./entries.mjs";
import { address, readAddress } from "./query.mjs";

const PAGE = 50;
const PAUSE = 200; // milliseconds after the last key

export class TalkList {
  #rows = 0;
  #next = null;
  #turn = 0; // of the last search: answers to earlier ones are dropped
  #busy = false;
  #shownFor = null;
  #timer = 0;

  constructor() {
    $("talk-q").addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(), PAUSE);
    });
    $("talk-filters").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search();
    });
    new IntersectionObserver(() => this.#further(), { root: null, rootMargin: "300px" }).observe($("talk-end"));
    $("talk-end").closest(".shelf").addEventListener("scroll", () => this.#further(), { passive: true });
  }

  // Shows what the address asks for, and which conversation is open.
  async show(open, { force = false } = {}) {
    const { q = "" } = readAddress().filters;
    if (document.activeElement !== $("talk-q")) $("talk-q").value = q;
    if (!force && this.#shownFor === q) return this.#mark(open);
    this.#shownFor = q;
    await this.#load();
  }

  #search() {
    clearTimeout(this.#timer);
    const q = $("talk-q").value.trim();
    const { id } = readAddress();
    history.replaceState(null, "", address(id, { q }));
    if (q === this.#shownFor) return;
    this.#shownFor = q;
    this.#load();
  }

  async #load() {
    this.#turn += 1;
    this.#rows = 0;
    this.#next = "";
    this.#busy = false;
    $("talk-note").textContent = "Loading…";
    await this.#more(true);
  }

  async #more(first = false) {
    if (this.#busy || this.#next === null) return;
    this.#busy = true;
    const turn = this.#turn;
    try {
      const { talks, all } = await access();
      const query = new URLSearchParams({ limit: PAGE, ...(this.#shownFor && { q: this.#shownFor }), ...(this.#next && { after: this.#next }) });
      const page = await call("GET", `${talks}?${query}`);
      if (turn !== this.#turn) return;
      this.#next = page.has_more ? page.next : null;
      this.#draw(page.data, first, all);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#next = null;
      this.#draw([], first, false);
      $("talk-note").textContent = error.status === 401 ? "Enter an API key to see its conversations." : error.message;
    } finally {
      if (turn === this.#turn) this.#busy = false;
    }
    this.#further();
  }

  // Asks for more rows where the end of the list is near.
  #further() {
    if (!$("talks").hidden && !$("library").hidden && $("talk-end").getBoundingClientRect().top < innerHeight + 300) this.#more();
  }

  #draw(added, first, all) {
    const { id } = readAddress();
    const rows = added.map((talk) => row(talk, talk.id === id, this.#shownFor, all));
    if (first) $("talk-rows").replaceChildren(...rows);
    else $("talk-rows").append(...rows);
    this.#rows += rows.length;
    const none = this.#shownFor ? "Nothing found." : "No conversations yet.";
    $("talk-note").textContent = this.#next === null ? (this.#rows ? `${this.#rows} total` : none) : "";
  }

  #mark(open) {
    for (const link of $("talk-rows").querySelectorAll("a")) {
      if (link.dataset.id === open) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }
}

function row(talk, open, q, owners) {
  const link = h("a", { href: address(talk.id, { q }), "aria-current": open ? "page" : null },
    h("span.question", {}, talk.question || talk.id),
    h("span.said", {}, (talk.items > 1 && unmarked(talk.answer)) || "–"),
    h("span.facts", {},
      h("span.figure", {}, `${talk.items} ${talk.items === 1 ? "item" : "items"}`),
      owners && talk.owner !== "local" ? h("span.owner", { title: talk.owner }, talk.owner) : null,
      h("time", {}, when(talk.created_at))));
  link.dataset.id = talk.id;
  return h("li.entry.plain", {}, link);
}
