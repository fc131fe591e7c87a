// What was sent to the backend for a response: each request, and as curl.

import { copy, h, pretty } from "../dom.mjs";
import { code } from "../markdown.mjs";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// The key is never known here: the command takes it from the environment.
export function curl({ url, body }) {
  const unix = /^unix:([^:]*):(.*)$/.exec(url);
  const lines = [unix ? `curl --unix-socket ${quoted(unix[1])} ${quoted(`localhost${unix[2]}`)}` : `curl ${quoted(url)}`];
  if (url.endsWith("/messages")) lines.push('-H "x-api-key: $BACKEND_API_KEY"', "-H 'anthropic-version: 2023-06-01'");
  else lines.push('-H "Authorization: Bearer $BACKEND_API_KEY"');
  lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

function one(call, number, began) {
  const button = h("button.quiet", { type: "button" }, "Copy as curl");
  button.addEventListener("click", () => copy(curl(call), button));
  const details = h("details.sent", { open: number === 0 },
    h("summary", {}, `${call.backend} `, h("span.note", {}, `${call.url}${number ? ` · ${(call.at - began).toFixed(2)} s later` : ""}`)), h("div.actions", {}, button));
  const show = () => details.open && !details.querySelector(".code") && details.append(code(pretty(call.body), "JSON"));
  details.addEventListener("toggle", show);
  show();
  return details;
}

// The section of an open response; nothing for keys that do not see it.
export function sentSection({ sent, sent_forgotten: forgotten, sent_missing: missing }) {
  if (!sent) return [];
  const parts = [h("h3", {}, "Sent to the backend")];
  if (forgotten) parts.push(h("p.note", {}, `${forgotten} earlier requests had no room.`));
  if (!sent.length) parts.push(h("p.note", {}, missing));
  return [...parts, ...sent.map((call, number) => one(call, number, sent[0].at))];
}
