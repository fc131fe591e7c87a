// Formulas: KaTeX, which is loaded with its fonts when the first formula is shown; until then its source stands there.

import { h } from "../dom.mjs";
import { Memo } from "./memo.mjs";
import { inTime } from "./slices.mjs";

const FOLDER = new URL("../vendor/katex/", import.meta.url).href;
const SETTINGS = { throwOnError: false, trust: false, strict: "ignore", maxSize: 20, maxExpand: 200, output: "htmlAndMathml" };

const DEFINES = /\\(?:[egx]?def|let|futurelet|global|long|(?:re)?newcommand|providecommand)(?![a-zA-Z])/; // `maxExpand` counts what is expanded, not how long that is

let loading = null;
const waiting = new Set();
const memo = new Memo();

export function formula(source, { display, source: whole }) {
  const made = h(display ? "span.math.display" : "span.math", { title: whole }, whole);
  if (DEFINES.test(source)) return made; // stays as it is
  if (globalThis.katex) inTime(() => typeset(made, source, display));
  else {
    waiting.add([made, source, display]);
    load();
  }
  return made;
}

function load() {
  loading ??= import("../vendor/katex/katex.min.mjs").then(() => {
    document.head.append(h("link", { rel: "stylesheet", href: `${FOLDER}katex.min.css` }));
    for (const [made, source, display] of waiting) inTime(() => typeset(made, source, display));
    waiting.clear();
  }, () => (loading = null));
}

function typeset(made, source, displayMode) {
  try {
    memo.into(made, `${displayMode} ${source}`, (parent) => {
      const holder = h("span");
      globalThis.katex.render(source, holder, { ...SETTINGS, displayMode });
      parent.append(...holder.childNodes);
    });
  } catch {
    made.textContent = made.title; // not a formula that KaTeX reads
  }
}
