// The list of the store's conversations: search in first and last words, more rows while it is scrolled.

import { $, h, when } from "../dom.mjs";
import { access } from "./access.mjs";
import { unmarked } from "./entries.mjs";
import { Pages } from "./pages.mjs";
import { address, readAddress } from "./query.mjs";

const PAUSE = 200; // milliseconds after the last key

export class TalkList {
  #rows = 0;
  #all = false; // whether it is the list of all owners
  #pages;
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
    this.#pages = new Pages({
      end: "talk-end",
      path: async () => {
        const { talks, all } = await access();
        this.#all = all;
        return talks;
      },
      draw: (added, first) => this.#draw(added, first),
      failed: (error) => ($("talk-note").textContent = error.status === 401 ? "Enter an API key to see its conversations." : error.message),
    });
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
    this.#rows = 0;
    $("talk-note").textContent = "Loading…";
    await this.#pages.load(this.#shownFor ? new URLSearchParams({ q: this.#shownFor }) : "");
  }

  #draw(added, first) {
    const { id } = readAddress();
    const rows = added.map((talk) => row(talk, talk.id === id, this.#shownFor, this.#all));
    if (first) $("talk-rows").replaceChildren(...rows);
    else $("talk-rows").append(...rows);
    this.#rows += rows.length;
    const none = this.#shownFor ? "Nothing found." : "No conversations yet.";
    $("talk-note").textContent = this.#pages.ended ? (this.#rows ? `${this.#rows} total` : none) : "";
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
