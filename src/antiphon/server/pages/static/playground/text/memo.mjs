// Elements that were made of a text before: text that grows is laid out again and again, and most of it is the same.

const MOST = 300; // entries
const LONGEST = 20_000; // characters of a key

export class Memo {
  #known = new Map();

  // Appends what `make(parent)` has put into a parent of its own for this key, from memory where that is possible.
  into(parent, key, make) {
    let found = this.#known.get(key);
    if (!found) {
      found = document.createDocumentFragment();
      make(found);
      if (key.length <= LONGEST) this.#known.set(key, found);
      if (this.#known.size > MOST) this.#known.delete(this.#known.keys().next().value);
    }
    parent.replaceChildren(found.cloneNode(true));
  }
}
