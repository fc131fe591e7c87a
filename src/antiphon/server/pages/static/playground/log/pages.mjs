// The pages of a list, one after the other, as its end comes near. Answers to an earlier search are dropped.

import { call } from "../api.mjs";
import { $ } from "../dom.mjs";

const PAGE = 50;
const MOST_EMPTY = 20; // pages without an entry that are asked for by themselves

export class Pages {
  #turn = 0; // of the last search
  #busy = false;
  #next = null;
  #query = "";

  // `end`: id of the element behind the rows. `path()` gives the route; `draw(added, first)` shows rows; `failed(error)` tells why none came.
  constructor({ end, path, draw, failed }) {
    Object.assign(this, { end: $(end), path, draw, failed });
    new IntersectionObserver(() => this.further(), { root: null, rootMargin: "300px" }).observe(this.end);
    // The observer tells of changes only: none, where rows come and are scrolled past within one frame.
    this.end.closest(".shelf").addEventListener("scroll", () => this.further(), { passive: true });
  }

  // Whether the last page has come.
  get ended() {
    return this.#next === null;
  }

  // Begins with the first page of a query.
  async load(query) {
    this.#turn += 1;
    this.#query = query;
    this.#next = "";
    this.#busy = false;
    await this.#more(true);
  }

  // Asks for more rows where the end of the list is near.
  further() {
    if (this.end.checkVisibility() && this.end.getBoundingClientRect().top < innerHeight + 300) this.#more();
  }

  async #more(first = false) {
    if (this.#busy || this.ended) return;
    this.#busy = true;
    const turn = this.#turn;
    try {
      const path = await this.path();
      let added = [];
      for (let pages = 0; !added.length && !this.ended && pages < MOST_EMPTY; pages += 1) {
        const query = new URLSearchParams(this.#query);
        query.set("limit", PAGE);
        if (this.#next) query.set("after", this.#next);
        const page = await call("GET", `${path}?${query}`);
        if (turn !== this.#turn) return;
        added = page.data;
        this.#next = page.has_more ? page.next : null;
      }
      this.draw(added, first);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#next = null;
      this.draw([], first);
      this.failed(error);
    } finally {
      if (turn === this.#turn) this.#busy = false;
    }
    this.further();
  }
}
