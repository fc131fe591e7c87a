// Fields of a request as a table: their names are the API's. Each becomes a control, and its value goes to its path in the body.

import { h } from "../dom.mjs";

const FIRST = "first"; // shown at once; the other groups are folded

export const FIELDS = [
  { id: "effort", path: "reasoning.effort", kind: "choice", group: FIRST, options: ["none", "minimal", "low", "medium", "high", "xhigh"] },
  { id: "temperature", path: "temperature", kind: "number", group: FIRST, min: 0, max: 2, step: "any" },
  { id: "max", path: "max_output_tokens", kind: "number", group: FIRST, min: 1, step: 1, placeholder: "no limit" },
  { id: "choice", path: "tool_choice", kind: "choice", group: FIRST, options: ["auto", "required", "none"] },
  { id: "top-p", path: "top_p", kind: "number", group: "Sampling", min: 0, max: 1, step: "any" },
  { id: "top-logprobs", path: "top_logprobs", kind: "number", group: "Sampling", min: 0, max: 20, step: 1 },
  { id: "frequency-penalty", path: "frequency_penalty", kind: "number", group: "Sampling", min: -2, max: 2, step: "any" },
  { id: "presence-penalty", path: "presence_penalty", kind: "number", group: "Sampling", min: -2, max: 2, step: "any" },
  { id: "summary", path: "reasoning.summary", kind: "choice", group: "Reasoning and text", options: ["auto", "concise", "detailed"] },
  { id: "verbosity", path: "text.verbosity", kind: "choice", group: "Reasoning and text", options: ["low", "medium", "high"] },
  { id: "truncation", path: "truncation", kind: "choice", group: "Reasoning and text", options: ["auto", "disabled"] },
  { id: "parallel", path: "parallel_tool_calls", kind: "boolean", group: "Tool calls", options: ["true", "false"] },
  { id: "max-tool-calls", path: "max_tool_calls", kind: "number", group: "Tool calls", min: 1, step: 1 },
  { id: "include", path: "include", kind: "names", group: "Tool calls", wide: true, placeholder: "reasoning.encrypted_content, …" },
  { id: "service-tier", path: "service_tier", kind: "text", group: "Identity and cache", placeholder: "auto" },
  { id: "cache-key", path: "prompt_cache_key", kind: "text", group: "Identity and cache" },
  { id: "safety", path: "safety_identifier", kind: "text", group: "Identity and cache" },
  { id: "user", path: "user", kind: "text", group: "Identity and cache" },
  { id: "metadata", path: "metadata", kind: "json", group: "Identity and cache", wide: true, placeholder: '{"team": "docs"}', of: "object" },
  { id: "prompt", path: "prompt", kind: "json", group: "Prompt template", wide: true, placeholder: '{"id": "pmpt_…", "variables": {}}', of: "object" },
];

// Values at paths of a body

export const at = (body, path) => path.split(".").reduce((value, name) => value?.[name], body);

export function put(body, path, value) {
  const names = path.split(".");
  const last = names.pop();
  let into = body;
  for (const name of names) into = into[name] ??= {};
  into[last] = value;
}

// Takes the value at a path out, with the objects that are empty then.
export function take(body, path) {
  const [first, ...rest] = path.split(".");
  if (!rest.length || body[first] === null || typeof body[first] !== "object") {
    const value = rest.length ? undefined : body[first];
    if (!rest.length) delete body[first];
    return value;
  }
  const value = take(body[first], rest.join("."));
  if (!Object.keys(body[first]).length) delete body[first];
  return value;
}

// Controls

export function control(field) {
  const { id, kind, options = [], min, max, step, placeholder = "default" } = field;
  if (kind === "choice" || kind === "boolean") return h("select", { id, name: id }, h("option", { value: "" }, field.empty ?? "default"), ...options.map((one) => h("option", { value: one }, one)));
  if (kind === "json") return h("textarea.mono", { id, name: id, rows: field.rows ?? 2, spellcheck: false, placeholder, "aria-describedby": `${id}-problem` });
  if (kind === "number") return h("input", { id, name: id, type: "number", min, max, step, placeholder });
  return h("input", { id, name: id, type: kind === "secret" ? "password" : "text", placeholder: field.placeholder ?? "", autocomplete: "off", spellcheck: false, required: field.required });
}

export function labelled(field, made = control(field)) {
  const problem = field.kind === "json" ? h("p.problem", { id: `${field.id}-problem`, role: "alert" }) : "";
  return h(field.wide ? "div.wide" : "div", {}, h("label", { htmlFor: field.id, title: field.path }, field.label ?? field.path), made, problem);
}

// Puts the table's controls into the form: the first ones into `first`, each group into a fold of `more`.
export function layOut(first, more) {
  first.append(...FIELDS.filter((one) => one.group === FIRST).map((one) => labelled(one)));
  for (const group of new Set(FIELDS.map((one) => one.group))) {
    if (group === FIRST) continue;
    more.append(h("details.group", {}, h("summary", {}, group), h("div.pair", {}, ...FIELDS.filter((one) => one.group === group).map((one) => labelled(one)))));
  }
}

// The value of a control: undefined where it is empty. Throws a SyntaxError or TypeError for text that is not what the field takes.
export function valueOf(field, element) {
  const text = element.value.trim();
  if (!text) return undefined;
  if (field.kind === "number") return Number(text);
  if (field.kind === "boolean") return text === "true";
  if (field.kind === "names") return text.split(/[\s,]+/).filter(Boolean);
  return field.kind === "json" ? parsed(text, field.of) : element.value;
}

export function parsed(text, of) {
  const value = JSON.parse(text);
  const is = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
  if (of && is !== of) throw new TypeError(`expected an ${of}`);
  return value;
}

export function textOfValue(field, value) {
  if (value === undefined || value === null) return "";
  if (field.kind === "names") return Array.isArray(value) ? value.join(", ") : "";
  if (field.kind === "json") return JSON.stringify(value, null, 2);
  return typeof value === "object" ? "" : String(value);
}
