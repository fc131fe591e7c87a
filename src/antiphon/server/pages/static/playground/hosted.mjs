// Views of hosted tools' items: searches and their sources, hits in files, code and what it printed, shell output, pictures.

import { h } from "./dom.mjs";
import { code } from "./markdown.mjs";

const FORMATS = ["png", "jpeg", "webp", "gif"];
const MOST_TEXT = 600; // characters of a hit that are shown at once

// What has come of an item that is still being made.
export const growth = () => ({ text: [], stage: "", commands: [], output: [], picture: "", annotations: [] });

// Takes an event into a growth; tells whether there is something new to show.
export function grow(state, event) {
  const { type, delta, command_index: at } = event;
  const stage = /^response\.\w+_call\.(\w+)$/.exec(type)?.[1];
  if (type.endsWith("output_text.annotation.added")) state.annotations.push(event.annotation);
  else if (type.endsWith("shell_call_command.delta")) state.commands[at] = (state.commands[at] ?? "") + delta;
  else if (type.endsWith("shell_call_output_content.delta")) print(state.output, at, delta);
  else if (event.partial_image_b64) state.picture = picture(event.partial_image_b64, event.output_format);
  else if (type.endsWith(".delta") && typeof delta === "string") state.text.push(delta);
  else if (stage) state.stage = stage === "completed" ? "" : `${stage.replaceAll("_", " ")}…`;
  else return false;
  return true;
}

function print(output, at, { stdout, stderr }) {
  output[at] ??= { stdout: "", stderr: "" };
  output[at].stdout += stdout ?? "";
  output[at].stderr += stderr ?? "";
}

const VIEWS = {
  __proto__: null,
  web_search_call: (item) => web(item.action ?? {}),
  file_search_call: (item) => [...searched(item.queries ?? []), hits(item.results)],
  code_interpreter_call: (item) => [item.code ? code(item.code, "python") : null, ...(item.outputs ?? []).map(shown)],
  shell_call: (item) => commands(item.action?.commands ?? []),
  shell_call_output: (item) => printed(Array.isArray(item.output) ? item.output : []),
  image_generation_call: (item) => [item.revised_prompt ? h("p.note", {}, item.revised_prompt) : null, image(picture(item.result, item.output_format), "Generated picture")],
};

// The view of a finished item; null where it is no hosted tool's. A call of the client's shell is laid out in the same way.
export function finished(item) {
  const view = VIEWS[item.type];
  if (!view) return null;
  const failed = item.status === "failed" || item.status === "incomplete" ? h("p.note", {}, item.status) : null;
  return [...view(item), failed].filter(Boolean);
}

// The view of one that is being made; null where it is no hosted tool's.
export function unfinished(item, state) {
  if (!VIEWS[item.type]) return null;
  const parts = [];
  if (state.text.length) parts.push(code(state.text.join(""), item.type === "code_interpreter_call" ? "python" : "text"));
  if (state.commands.length) parts.push(...commands(state.commands));
  if (state.output.length) parts.push(...printed(state.output));
  if (state.picture) parts.push(image(state.picture, "Picture in the making"));
  return [...parts, h("p.note.stage", {}, state.stage || "in progress…")];
}

// Web

function web(action) {
  if (action.type === "open_page") return [h("p", {}, "Opened ", link(action.url))];
  if (action.type === "find_in_page") return [h("p", {}, `Looked for “${action.pattern}” in `, link(action.url))];
  const queries = action.queries?.length ? action.queries : [action.query].filter(Boolean);
  const found = action.sources ?? [];
  return [...searched(queries), found.length ? h("ol.sources", {}, ...found.map((one) => h("li", {}, link(one.url)))) : null];
}

const searched = (queries) => (queries.length ? [h("p", {}, `Searched for ${queries.map((one) => `“${one}”`).join(", ")}`)] : []);

// Only web addresses become links, and they learn nothing of this page.
export function link(url, label = url) {
  return /^https?:\/\//.test(url ?? "") ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, label) : h("span", {}, label ?? "");
}

// Files

function hits(results) {
  if (!results) return null;
  if (!results.length) return h("p.note", {}, "nothing found");
  return h("ol.sources", {}, ...results.map((one) => {
    const text = one.text ?? "";
    const shortened = text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)} …` : text;
    return h("li", {}, h("details", {}, h("summary", {}, one.filename ?? one.file_id, h("span.note", {}, ` ${Number(one.score ?? 0).toFixed(2)}`)), h("p.plain", {}, shortened)));
  }));
}

// Code and shell

const shown = (output) => (output.type === "image" ? image(output.url, "Plot") : code(output.logs ?? "", "output"));
const commands = (list) => list.filter(Boolean).map((one) => code(one, "shell"));

function printed(list) {
  return list.filter(Boolean).flatMap(({ stdout, stderr, outcome }) => [
    stdout ? code(stdout, "stdout") : null,
    stderr ? code(stderr, "stderr") : null,
    outcome ? h("p.note", {}, outcome.type === "timeout" ? "timed out" : `exit code ${outcome.exit_code}`) : null,
  ]).filter(Boolean);
}

// Pictures: only those that came with the item; nothing is fetched.

const picture = (base64, format) => (/^[A-Za-z0-9+/=]+$/.test(base64 ?? "") ? `data:image/${FORMATS.includes(format) ? format : "png"};base64,${base64}` : "");

export function image(url, alt) {
  return FORMATS.some((format) => url?.startsWith(`data:image/${format};base64,`)) ? h("img.picture", { src: url, alt }) : null;
}
