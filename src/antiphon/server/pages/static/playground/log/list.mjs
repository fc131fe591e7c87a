// The list of stored responses: search and filters, which stand in the address, more rows while it is scrolled, deletion, export.

import { call, download } from "../api.mjs";
import { $, h } from "../dom.mjs";
import { access } from "./access.mjs";
import { row } from "./entries.mjs";
import { Pages } from "./pages.mjs";
import { address, apiQuery, FILTERS, readAddress } from "./query.mjs";

const MOST_DELETED = 100; // of one request
const PAUSE = 200; // milliseconds after the last key

export class LogList {
  #entries = [];
  #all = false; // whether it is the list of all owners
  #picked = new Map();
  #pages;
  #shownFor = null;
  #timer = 0;

  // `opened` is told when the address has changed to another entry or none.
  constructor() {
    for (const name of FILTERS) {
      const field = $(`log-${name}`);
      field?.addEventListener(field.type === "search" || field.type === "text" ? "input" : "change", () => this.#later());
    }
    $("log-filters").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search();
    });
    $("log-clear").addEventListener("click", () => {
      for (const name of FILTERS) if ($(`log-${name}`)) $(`log-${name}`).value = "";
      this.#search();
    });
    $("log-all").addEventListener("change", () => this.#pickAll($("log-all").checked));
    $("log-delete").addEventListener("click", () => this.#delete());
    $("log-export").addEventListener("click", () => this.#export());
    this.#pages = new Pages({
      end: "log-end",
      path: async () => {
        const { list, all } = await access();
        this.#all = all;
        return list;
      },
      draw: (added, first) => this.#draw(added, first),
      failed: (error) => ($("log-note").textContent = error.status === 401 ? "Enter an API key to see its responses." : error.message),
    });
  }

  // Shows what the address asks for.
  async show({ force = false } = {}) {
    const { id, filters } = readAddress();
    for (const name of FILTERS) if ($(`log-${name}`)) $(`log-${name}`).value = filters[name] ?? "";
    const more = FILTERS.some((name) => filters[name] && !["q", "status"].includes(name));
    if (more) $("log-more").open = true;
    const wanted = apiQuery(filters).toString();
    if (!force && this.#shownFor === wanted) return this.#mark(id);
    this.#shownFor = wanted;
    await this.#load();
  }

  #filters() {
    return Object.fromEntries(FILTERS.map((name) => [name, $(`log-${name}`)?.value.trim() ?? readAddress().filters[name] ?? ""]));
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#search(), PAUSE);
  }

  #search() {
    clearTimeout(this.#timer);
    const filters = this.#filters();
    history.replaceState(null, "", address(readAddress().id, filters));
    const wanted = apiQuery(filters).toString();
    if (wanted === this.#shownFor) return;
    this.#shownFor = wanted;
    this.#load();
  }

  async #load() {
    this.#entries = [];
    this.#picked.clear();
    $("log-note").textContent = "Loading…";
    await this.#pages.load(this.#shownFor);
  }

  #draw(added, first) {
    this.#entries.push(...added);
    const { id, filters } = readAddress();
    const all = this.#all;
    const rows = added.map((entry) => row(entry, address(entry.id, filters), (one, yes) => this.#pick(one, yes), { open: entry.id === id, owners: all }));
    if (first) $("log-rows").replaceChildren(...rows);
    else $("log-rows").append(...rows);
    const any = FILTERS.some((name) => filters[name]);
    $("log-note").textContent = this.#entries.length ? (this.#pages.ended ? `${this.#entries.length} total` : "") : any ? "Nothing found." : "No responses yet.";
    $("log-clear").hidden = !any;
    $("log-owner-field").hidden = !all;
    this.#bar();
  }

  #mark(id) {
    const { filters } = readAddress();
    for (const link of $("log-rows").querySelectorAll("a")) {
      const own = link.parentElement.id === `entry-${id}`;
      if (own) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      link.href = address(link.parentElement.id.slice("entry-".length), filters);
    }
  }

  // Selection

  #pick(entry, yes) {
    if (yes) this.#picked.set(entry.id, entry);
    else this.#picked.delete(entry.id);
    this.#bar();
  }

  #pickAll(yes) {
    this.#picked = new Map(yes ? this.#entries.map((entry) => [entry.id, entry]) : []);
    for (const box of $("log-rows").querySelectorAll("input")) box.checked = yes;
    this.#bar();
  }

  #bar() {
    const some = this.#picked.size;
    $("log-all").checked = some > 0 && some === this.#entries.length;
    $("log-all").indeterminate = some > 0 && some < this.#entries.length;
    $("log-delete").hidden = !some;
    $("log-delete").textContent = `Delete ${some}`;
    $("log-export").disabled = !this.#entries.length;
  }

  async #delete() {
    const asked = `Delete ${this.#picked.size} permanently?`;
    if ($("log-delete").textContent !== asked) {
      $("log-delete").textContent = asked;
      setTimeout(() => this.#bar(), 4000);
      return;
    }
    const ids = [...this.#picked.keys()];
    try {
      const { list } = await access();
      for (let at = 0; at < ids.length; at += MOST_DELETED) await call("POST", `${list}/delete`, { ids: ids.slice(at, at + MOST_DELETED) });
      this.gone(ids);
    } catch (error) {
      $("log-note").textContent = error.message;
    }
  }

  // Takes entries that were deleted out of the list.
  gone(ids) {
    for (const id of ids) {
      $(`entry-${id}`)?.remove();
      this.#picked.delete(id);
    }
    this.#entries = this.#entries.filter((entry) => !ids.includes(entry.id));
    this.#bar();
    const { id, filters } = readAddress();
    if (ids.includes(id)) location.hash = address("", filters);
    else this.#pages.further();
  }

  async #export() {
    const { list } = await access();
    const query = new URLSearchParams(this.#shownFor);
    query.set("format", "jsonl");
    $("log-export").disabled = true;
    try {
      await download(`${list}?${query}`, "responses.jsonl");
    } catch (error) {
      $("log-note").textContent = error.message;
    }
    $("log-export").disabled = false;
  }
}

export const emptyNote = () => h("p.note", {}, "Select a response, or open one by its id.");
