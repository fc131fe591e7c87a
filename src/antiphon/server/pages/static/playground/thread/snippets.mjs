// The request as curl, Python or JavaScript.

import { key, root } from "../api.mjs";
import { $, copy, pretty } from "../dom.mjs";

const NAME = "ANTIPHON_API_KEY"; // the key itself is never written into a snippet

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(body) {
  const lines = [`curl -N ${root}/v1/responses`];
  if (key()) lines.push(`-H "Authorization: Bearer $${NAME}"`);
  lines.push("-H 'Content-Type: application/json'", `-d ${quoted(pretty(body))}`);
  return lines.join(" \\\n  ");
}

// JSON as a Python literal.
function literal(value, indent) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const parts = Array.isArray(value)
    ? value.map((one) => `${inner}${literal(one, inner)},\n`)
    : Object.entries(value).map(([name, one]) => `${inner}${JSON.stringify(name)}: ${literal(one, inner)},\n`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return parts.length ? `${open}\n${parts.join("")}${indent}${close}` : open + close;
}

function python(body) {
  const fields = Object.entries(body).map(([name, value]) => `    ${name}=${literal(value, "    ")},\n`).join("");
  const secret = key() ? `os.environ["${NAME}"]` : '"none"';
  return `${key() ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(base_url="${root}/v1", api_key=${secret})
stream = client.responses.create(
${fields})
for event in stream:
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
`;
}

function javascript(body) {
  const secret = key() ? `process.env.${NAME}` : '"none"';
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${root}/v1", apiKey: ${secret} });
const stream = await client.responses.create(${pretty(body)});
for await (const event of stream) {
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
}
`;
}

const LANGUAGES = { curl, python, javascript };

const snippet = (language, body) => LANGUAGES[language](body);

// The dialog: `draft()` gives the request, or null where the form has a fault.
export function setUpSnippets(draft) {
  const buttons = [...document.querySelectorAll("[data-language]")];
  let body = null;
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const one of buttons) one.setAttribute("aria-pressed", one === button);
      $("snippet").textContent = snippet(button.dataset.language, body);
    });
  }
  $("code").addEventListener("click", () => {
    body = draft();
    if (!body) return;
    $("snippets").showModal();
    buttons[0].click();
  });
  $("copy").addEventListener("click", () => copy($("snippet").textContent, $("copy")));
  $("close").addEventListener("click", () => $("snippets").close());
}
