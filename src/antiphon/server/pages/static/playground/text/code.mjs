// Code with a copy button. Colours come from highlight.js, which is loaded when the first code with a language is shown.

import { copy, h } from "../dom.mjs";
import { Memo } from "./memo.mjs";
import { inTime } from "./slices.mjs";

const MOST = 30_000; // characters of one block that are coloured where the language is JSON
const MOST_OTHER = 10_000; // the same of other languages: some take time that grows with the square of a block, or of a line
const LONGEST_LINE = /[^\n]{501}/;

// What the page itself names its blocks, and in which language they are; "" is none.
const NAMES = new Map(Object.entries({ arguments: "json", item: "json", shell: "bash", output: "", input: "", error: "", stdout: "", stderr: "", text: "" }));

let library = null; // highlight.js, once it is there
let loading = null;
const waiting = new Set(); // blocks that were shown before
const memo = new Memo();

export function code(text, language = "") {
  const button = h("button.link", { type: "button", onclick: () => copy(block.textContent, button) }, "copy");
  const block = h("pre", { tabIndex: 0, "aria-label": language || "text" });
  paint(block, text, language);
  return h("figure.code", {}, h("figcaption", {}, language || "text", button), block);
}

function paint(block, text, language) {
  const name = NAMES.get(language) ?? language;
  if (!name || !colours(text, name)) return block.replaceChildren(text);
  if (library && !library.getLanguage(name)) return block.replaceChildren(text);
  if (library) {
    block.replaceChildren(text);
    return inTime(() => memo.into(block, `${name} ${text}`, (parent) => parent.append(...coloured(text, name))));
  }
  waiting.add([block, language]);
  load();
  return block.replaceChildren(text);
}

const colours = (text, name) => text.length <= (name === "json" ? MOST : MOST_OTHER) && (name === "json" || !LONGEST_LINE.test(text));

function load() {
  loading ??= import("../vendor/highlight/highlight.min.mjs").then((module) => {
    library = module.default;
    for (const [block, name] of waiting) if (block.isConnected) paint(block, block.textContent, name);
    waiting.clear();
  }, () => (loading = null));
}

// highlight.js gives a tree beside its HTML: scopes and texts.
function coloured(text, language) {
  const { _emitter: tree } = library.highlight(text, { language, ignoreIllegals: true });
  return tree.rootNode.children.map(node);
}

const node = (one) => (typeof one === "string" ? one : h(`span.hl-${(one.scope ?? "none").split(".")[0].replaceAll(/[^\w-]/g, "-")}`, {}, ...one.children.map(node)));
