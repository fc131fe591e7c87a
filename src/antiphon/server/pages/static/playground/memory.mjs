// What was made on this page, by id, in the browser's own storage: titles and figures; the server has the rest.

const MOST = 200;

class Memory {
  constructor(key) {
    this.key = key;
  }

  list() {
    return JSON.parse(localStorage.getItem(this.key) ?? "[]");
  }

  get(id) {
    return this.list().find((one) => one.id === id);
  }

  // Adds an entry, or adds to it; the newest stands first.
  put(entry) {
    const old = this.get(entry.id) ?? {};
    this.#save([{ ...old, ...entry }, ...this.list().filter((one) => one.id !== entry.id)]);
  }

  remove(id) {
    this.#save(this.list().filter((one) => one.id !== id));
  }

  #save(entries) {
    localStorage.setItem(this.key, JSON.stringify(entries.slice(0, MOST)));
  }
}

export const responses = new Memory("antiphon-responses");
export const conversations = new Memory("antiphon-conversations");
