// Markdown that grows: blocks that later text cannot change are laid out once, the rest anew with each piece; elements that stay the same stay.

import { h } from "../dom.mjs";
import { code } from "./code.mjs";
import { elements } from "./elements.mjs";
import { parse } from "./parser.mjs";

const MOST = 200_000; // characters that are laid out; hardly an answer has a tenth of them
const LAST = 2; // blocks at the end that later text may change

export class Flow {
  #text = ""; // of the blocks that stay
  #nodes = 0; // how many nodes they are
  #references = {}; // names of links defined in them
  #reaches = false; // whether there are names or notes, which reach back

  constructor(element) {
    this.element = element;
  }

  // Shows a text, most often the last one with something behind it; `whole`: nothing more will come.
  show(given, whole) {
    if (given.length > MOST) {
      this.#reset();
      const plain = document.createDocumentFragment();
      plain.append(h("p.note", {}, `More than ${MOST.toLocaleString("en")} characters: shown as they came.`), code(given));
      return patch(this.element, plain);
    }
    const text = given.replaceAll(/\r\n?/g, "\n");
    if (!text.startsWith(this.#text) || (whole && this.#reaches)) this.#reset();
    const env = { references: { ...this.#references } };
    let tokens = parse(text.slice(this.#text.length), env);
    this.#reaches ||= Boolean(env.footnotes || Object.keys(env.references).length);
    if (whole && this.#reaches && this.#text) {
      this.#reset();
      tokens = parse(text);
    }
    const blocks = whole ? [tokens] : split(tokens);
    const made = elements(blocks.slice(0, -LAST).flat());
    const settled = made.childNodes.length;
    made.append(elements(blocks.slice(-LAST).flat()));
    patch(this.element, made, this.#nodes);
    if (settled) this.#settle(text, blocks.at(-LAST)[0].map[0], settled, env.references);
  }

  #reset() {
    this.#text = "";
    this.#nodes = 0;
    this.#references = {};
  }

  // All before a line of the rest stays from now on.
  #settle(text, line, nodes, references) {
    let end = this.#text.length;
    for (let passed = 0; passed < line; passed += 1) end = text.indexOf("\n", end) + 1;
    this.#nodes += nodes;
    this.#text = text.slice(0, end);
    this.#references = references;
  }
}

// Tokens by the outermost blocks; footnotes, which have no place in the text, belong to the last one.
function split(tokens) {
  const blocks = [];
  for (const token of tokens) {
    if (token.level === 0 && token.nesting >= 0 && token.map) blocks.push([]);
    if (!blocks.length) blocks.push([]);
    blocks.at(-1).push(token);
  }
  return blocks;
}

// Makes the children of an element from `start` on equal to those of a fragment.
export function patch(element, fragment, start = 0) {
  const wanted = [...fragment.childNodes];
  const have = [...element.childNodes].slice(start);
  for (const [index, next] of wanted.entries()) {
    const old = have[index];
    if (!old) element.append(next);
    else if (!old.isEqualNode(next)) change(element, old, next);
  }
  for (const old of have.slice(wanted.length)) old.remove();
}

function change(element, old, next) {
  if (old.nodeType === Node.TEXT_NODE && next.nodeType === Node.TEXT_NODE) old.data = next.data;
  else if (next.childNodes.length && old.cloneNode(false).isEqualNode(next.cloneNode(false))) patch(old, next);
  else element.replaceChild(next, old);
}
