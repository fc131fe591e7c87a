// Vector stores: made of files, with the progress of their ingestion.

import { call, id } from "./api.mjs";
import { $, h, short } from "./dom.mjs";
import { addTool } from "./form.mjs";

const PACE = 400; // milliseconds between two looks while files are read
const MOST_FILES = 100; // of a vector store that are listed

export class Stores {
  #timer = 0;
  #shown = false;
  #looking = Promise.resolve();
  #drawn = "";

  constructor() {
    $("store-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make([...$("store-files").files]);
    });
  }

  show() {
    this.#shown = true;
    this.#look();
  }

  hide() {
    this.#shown = false;
    clearTimeout(this.#timer);
  }

  async #make(files) {
    $("store-add").disabled = true;
    try {
      const ids = [];
      for (const [index, file] of files.entries()) {
        $("store-note").textContent = `Uploading ${file.name} (${index + 1} of ${files.length}) …`;
        ids.push((await call("POST", "/v1/files", form(file))).id);
      }
      await call("POST", "/v1/vector_stores", { name: $("store-name").value || files[0].name, file_ids: ids });
      $("store-form").reset();
      $("store-note").textContent = "";
    } catch (error) {
      $("store-note").textContent = error.message;
    }
    $("store-add").disabled = false;
    await this.#look();
  }

  // One look at a time, so that none asks for what was deleted meanwhile.
  #look() {
    clearTimeout(this.#timer);
    this.#looking = this.#looking.then(() => this.#lookNow());
    return this.#looking;
  }

  async #lookNow() {
    try {
      const { data } = await call("GET", "/v1/vector_stores?limit=100");
      const files = await Promise.all(data.map((one) => this.#files(one)));
      const state = JSON.stringify([data.map((one) => [one.id, one.name, one.file_counts]), files]);
      if (state !== this.#drawn) $("store-list").replaceChildren(...(data.length ? data.map((one, index) => this.#view(one, files[index])) : [h("p.note", {}, "No vector stores yet.")]));
      this.#drawn = state; // what has not changed is not drawn anew, under the pointer of whoever clicks there
      if (this.#shown && data.some((one) => one.file_counts.in_progress)) this.#timer = setTimeout(() => this.#look(), PACE);
    } catch (error) {
      $("store-note").textContent = error.message;
    }
  }

  // The files that are worth telling of: those that are read now, and those that failed.
  async #files(store) {
    const { in_progress: reading, failed } = store.file_counts;
    if (!reading && !failed) return [];
    const { data } = await call("GET", `/v1/vector_stores/${id(store.id)}/files?limit=${MOST_FILES}`);
    return data.filter((file) => file.status !== "completed");
  }

  #view(store, files) {
    const { completed, failed, total } = store.file_counts;
    const told = failed ? `${completed} of ${total} files are ready, ${failed} failed` : `${completed} of ${total} files are ready`;
    const bar = h("progress", { max: Math.max(total, 1), value: completed + failed, "aria-label": told });
    const list = files.map((file) => h(`li.${file.status}`, {}, short(file.id), " ", file.last_error ? `${file.last_error.code}: ${file.last_error.message}` : file.status.replaceAll("_", " ")));
    return h("article.store", {}, h("h3", {}, store.name || short(store.id)), h("p.note", {}, store.id), bar, h("p", {}, told), list.length ? h("ul", {}, ...list) : null,
      h("p.actions", {}, h("button.quiet", { type: "button", onclick: () => use(store.id) }, "Search it in the playground"), h("button.quiet.danger", { type: "button", onclick: () => this.#delete(store) }, "Delete")));
  }

  async #delete(store) {
    await this.#looking;
    await call("DELETE", `/v1/vector_stores/${id(store.id)}`).catch((error) => ($("store-note").textContent = error.message));
    await this.#look();
  }
}

function form(file) {
  const made = new FormData();
  made.append("purpose", "assistants");
  made.append("file", file);
  return made;
}

function use(store) {
  addTool({ type: "file_search", vector_store_ids: [store] });
  location.hash = "#play";
}
