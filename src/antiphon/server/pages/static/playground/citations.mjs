// Citations of an answer: marks in its text, and the list of what they stand for.

import { download } from "./api.mjs";
import { h } from "./dom.mjs";
import { link } from "./hosted.mjs";

// Marks in the text, as `markdown` shows them: private characters around a number.
export const MARK = ["\ue000", "\ue001"];

const keyOf = (one) => one.url ?? one.file_id ?? "";

// Distinct sources, in the order in which they are cited.
function numbered(annotations) {
  const keys = [...new Set(annotations.map(keyOf))].filter(Boolean);
  return { keys, of: (one) => keys.indexOf(keyOf(one)) + 1, first: (key) => annotations.find((one) => keyOf(one) === key) };
}

// The text with a mark where a file is cited. Positions count code points. (Web pages are links in the text already.)
export function marked(text, annotations) {
  const places = annotations.filter((one) => one.type === "file_citation").sort((a, b) => b.index - a.index);
  if (!places.length) return text;
  const numbers = numbered(annotations);
  const points = [...text];
  for (const one of places) points.splice(one.index, 0, `${MARK[0]}${numbers.of(one)}${MARK[1]}`);
  return points.join("");
}

export function footnotes(annotations) {
  const numbers = numbered(annotations);
  if (!numbers.keys.length) return [];
  return [h("ol.footnotes", { "aria-label": "Sources" }, ...numbers.keys.map((key) => h("li", {}, source(numbers.first(key)))))];
}

function source(one) {
  if (one.url) return link(one.url, one.title || one.url);
  const name = one.filename ?? one.file_id;
  if (one.type !== "container_file_citation") return h("span", {}, name);
  const path = `/v1/containers/${encodeURIComponent(one.container_id)}/files/${encodeURIComponent(one.file_id)}/content`;
  return h("button.link", { type: "button", onclick: () => download(path, name) }, name);
}
