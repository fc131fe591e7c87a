// The request's settings: form → body and body → form, kept for the next visit.

import { $, h, pretty } from "./dom.mjs";
import { at, FIELDS, layOut, parsed, take, textOfValue, valueOf } from "./form/fields.mjs";
import { withoutSecrets } from "./form/secrets.mjs";
import { included } from "./form/tool_kinds.mjs";
import { Tools } from "./form/tools.mjs";
import { conversations } from "./memory.mjs";

const KEPT = "antiphon-form";
const KEPT_TOOLS = "antiphon-tools"; // with the credentials of MCP servers: in this tab only
const TEXTS = ["instructions", "tools", "schema", "extra"];
const JSONS = { tools: "array", schema: "object", extra: "object" };
const OURS = ["input", "stream", "conversation", "previous_response_id"]; // what the thread itself puts into a request

const EXAMPLES = {
  tools: [
    {
      type: "function",
      name: "get_weather",
      description: "Tell the weather of a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
      strict: true,
    },
  ],
  schema: {
    type: "object",
    properties: { title: { type: "string" }, tags: { type: "array", items: { type: "string" } } },
    required: ["title", "tags"],
    additionalProperties: false,
  },
};

let builder = null;

// Declares a tool, in the place of another one of its type.
export const addTool = (tool) => setTools([...(check("tools") ?? []).filter((one) => one.type !== tool.type), tool]);

function setTools(tools) {
  $("tools").value = tools.length ? pretty(tools) : "";
  $("tools").dispatchEvent(new Event("input", { bubbles: true }));
  check("tools");
}

export function setUpForm() {
  layOut($("first-fields"), $("more-fields"));
  builder = new Tools(() => check("tools"), setTools);
  restore();
  $("request").addEventListener("input", keep);
  $("request").addEventListener("change", keep);
  for (const button of document.querySelectorAll("[data-example]")) button.addEventListener("click", () => example(button.dataset.example));
  for (const name of Object.keys(JSONS)) $(name).addEventListener("change", () => check(name));
  $("tools").addEventListener("input", () => builder.draw());
  for (const field of FIELDS.filter((one) => one.kind === "json")) $(field.id).addEventListener("change", () => fieldValue(field));
  $("request").addEventListener("submit", (event) => event.preventDefault());
  builder.draw();
}

function keep() {
  const values = Object.fromEntries([...TEXTS, "model", ...FIELDS.map((one) => one.id)].map((name) => [name, $(name).value]));
  const tools = check("tools");
  sessionStorage.setItem(KEPT_TOOLS, values.tools);
  values.tools = tools?.length ? pretty(withoutSecrets(tools)) : "";
  localStorage.setItem(KEPT, JSON.stringify(values));
}

function restore() {
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  const values = { ...kept, tools: sessionStorage.getItem(KEPT_TOOLS) ?? kept.tools };
  for (const name of [...TEXTS, ...FIELDS.map((one) => one.id)]) if (typeof values[name] === "string") $(name).value = values[name];
}

function example(name) {
  $(name).value = pretty(EXAMPLES[name]);
  $(name).dispatchEvent(new Event("input", { bubbles: true }));
  check(name);
}

export function showModels(models) {
  const wanted = $("model").value || $("model").dataset.wanted || JSON.parse(localStorage.getItem(KEPT) ?? "{}").model;
  $("model").replaceChildren(...models.map((model) => h("option", { value: model.id }, model.id)));
  if (models.some((model) => model.id === wanted)) $("model").value = wanted;
}

export function showConversations(chosen = $("conversation").value) {
  const known = conversations.list().map((one) => h("option", { value: one.id }, one.title || one.id));
  $("conversation").replaceChildren(h("option", { value: "" }, "none"), h("option", { value: "new" }, "a new one"), ...known);
  $("conversation").value = chosen;
  if ($("conversation").selectedIndex < 0) $("conversation").value = "";
}

// Reading

// Tries to read a field's JSON; undefined if it is empty. Shows the error beside the field, if it is not what the field takes.
function check(name) {
  return noted(name, () => {
    const text = $(name).value.trim();
    const value = text ? parsed(text, JSONS[name]) : undefined;
    const ours = name === "extra" ? OURS.find((one) => value && one in value) : undefined;
    if (ours) throw new TypeError(`"${ours}" is set by the thread`);
    return value;
  });
}

const fieldValue = (field) => (field.kind === "json" ? noted(field.id, () => valueOf(field, $(field.id))) : valueOf(field, $(field.id)));

function noted(name, read) {
  const note = $(`${name}-problem`);
  try {
    const value = read();
    note.textContent = "";
    $(name).removeAttribute("aria-invalid");
    return value;
  } catch (error) {
    note.textContent = `${error instanceof SyntaxError ? "Invalid JSON: " : ""}${error.message}`;
    $(name).setAttribute("aria-invalid", "true");
    return undefined;
  }
}

// The request's body without `input` and without default values; null if a field is invalid.
export function readForm() {
  const [tools, schema, extra] = ["tools", "schema", "extra"].map(check);
  const body = { model: $("model").value, instructions: $("instructions").value || undefined, tools: tools?.length ? tools : undefined };
  if (schema) body.text = { format: { type: "json_schema", name: "answer", schema, strict: true } };
  for (const field of FIELDS) {
    const value = fieldValue(field);
    if (value === undefined || (field.id === "choice" && !tools?.length)) continue;
    const [first, second] = field.path.split(".");
    if (second) body[first] = { ...body[first], [second]: value };
    else body[first] = value;
  }
  const wrong = document.querySelector("#request [aria-invalid=true], #request :invalid:not(fieldset)");
  if (wrong) {
    $("settings").open = true;
    for (let fold = wrong.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    wrong.focus();
    return null;
  }
  const names = [...new Set([...included(tools ?? []), ...(body.include ?? [])])];
  Object.assign(body, { include: names.length ? names : undefined, background: $("background").checked || undefined, store: $("store").checked ? undefined : false }, extra);
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}

// Filling

// Shows a request's body: what the form has no field for becomes extra JSON.
export function fillForm(given) {
  const body = structuredClone(given ?? {});
  for (const name of OURS) delete body[name];
  const model = take(body, "model");
  $("model").dataset.wanted = model ?? "";
  if ([...$("model").options].some((one) => one.value === model)) $("model").value = model;
  $("instructions").value = typeof body.instructions === "string" ? take(body, "instructions") : "";
  $("tools").value = body.tools?.length ? pretty(take(body, "tools")) : "";
  const format = at(body, "text.format");
  $("schema").value = format?.type === "json_schema" && format.schema && ["answer", undefined].includes(format.name) ? pretty(take(body, "text.format").schema) : "";
  body.include = Array.isArray(body.include) ? body.include.filter((one) => !included(given.tools ?? []).includes(one)) : undefined;
  for (const field of FIELDS) fill(field, body);
  $("background").checked = take(body, "background") === true;
  $("store").checked = take(body, "store") !== false;
  const rest = Object.entries(body).filter(([, value]) => value !== undefined && value !== null);
  $("extra").value = rest.length ? pretty(Object.fromEntries(rest)) : "";
  for (const name of Object.keys(JSONS)) check(name);
  builder.draw();
  $("request").dispatchEvent(new Event("input"));
}

// A value that the control cannot show stays in the body.
function fill(field, body) {
  const value = at(body, field.path);
  const text = textOfValue(field, value);
  $(field.id).value = text;
  if ($(field.id).value === text && (text || value === null || value?.length === 0)) take(body, field.path);
  else if ($(field.id).value !== text) $(field.id).value = "";
}
