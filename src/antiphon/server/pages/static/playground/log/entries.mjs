// An entry of the log as a row: question, answer or reason, and what it used.

import { h, seconds, short, when } from "../dom.mjs";

const count = (value) => value.toLocaleString("en");

export const cost = (value) => (value >= 0.01 ? value.toFixed(2) : value.toPrecision(2));

// The first words of an answer without the commonest marks of Markdown, for a line of the list.
export const unmarked = (text) => (text ?? "").replace(/(\*{1,3}|`+)(?=\S)([^*`]*\S)\1/g, "$2").replace(/(^|\s)#{1,6} /g, "$1");

export const STATUSES = ["completed", "incomplete", "failed", "cancelled", "in_progress", "queued"];

export const status = (name) => h(`span.status.${name}`, {}, name.replace("_", " "));

// `href`: where it leads. `picked(entry, yes)` is told of its box.
export function row(entry, href, picked, { open = false, owners = false } = {}) {
  const box = h("input", { type: "checkbox", "aria-label": `Select ${entry.question || entry.id}` });
  box.addEventListener("change", () => picked(entry, box.checked));
  const said = entry.reason?.message ? h("span.reason", {}, entry.reason.message) : entry.answer;
  const { usage } = entry;
  return h("li.entry", { id: `entry-${entry.id}` }, box,
    h("a", { href, "aria-current": open ? "page" : null },
      h("span.question", {}, entry.question || short(entry.id)),
      h("span.said", {}, entry.reason?.message ? said : unmarked(said) || "–"),
      h("span.facts", {},
        status(entry.status),
        entry.background ? h("span", {}, "background") : null,
        h("span.model", {}, entry.model),
        owners && entry.owner !== "local" ? h("span.owner", { title: entry.owner }, entry.owner) : null,
        usage.total_tokens ? h("span.figure", { title: `${usage.input_tokens} input, ${usage.output_tokens} output tokens` }, `${count(usage.total_tokens)} tokens`) : null,
        entry.cost ? h("span.figure", {}, `cost ${cost(entry.cost)}`) : null,
        entry.duration !== null && entry.duration !== undefined ? h("span.figure", {}, seconds(entry.duration)) : null,
        h("time", {}, when(entry.created_at)))));
}
