// Local history: responses and conversations made on this page, by id, in local storage: titles and figures only.

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

  // Adds or updates an entry; the newest is first.
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
