// The request's settings: form → body, kept for the next visit.

import { $, h, pretty } from "./dom.mjs";
import { conversations } from "./memory.mjs";

const KEPT = "antiphon-form";
const FIELDS = ["model", "instructions", "effort", "temperature", "max", "choice", "tools", "schema"];

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

// What of a hosted tool's items is shown by `include` only.
const INCLUDE = [
  [/^web_search/, "web_search_call.action.sources"],
  [/^file_search$/, "file_search_call.results"],
  [/^code_interpreter$/, "code_interpreter_call.outputs"],
];

const HOSTED = {
  web_search: { type: "web_search" },
  code_interpreter: { type: "code_interpreter", container: { type: "auto" } },
  image_generation: { type: "image_generation" },
};

// Declares a tool, in the place of another one of its type.
export function addTool(tool) {
  const tools = (check("tools") ?? []).filter((one) => one.type !== tool.type);
  $("tools").value = pretty([...tools, tool]);
  $("tools").rows = 9;
  $("tools").dispatchEvent(new Event("input", { bubbles: true }));
  check("tools");
}

const included = (tools) => INCLUDE.filter(([type]) => tools.some((tool) => type.test(tool.type ?? ""))).map(([, name]) => name);

export function setUpForm() {
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  for (const name of FIELDS) if (kept[name] && name !== "model") $(name).value = kept[name];
  $("request").addEventListener("input", () => {
    localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(FIELDS.map((name) => [name, $(name).value]))));
  });
  for (const button of document.querySelectorAll("[data-example]")) button.addEventListener("click", () => example(button.dataset.example));
  for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => addTool(HOSTED[button.dataset.tool]));
  for (const name of ["tools", "schema"]) $(name).addEventListener("change", () => check(name));
  $("request").addEventListener("submit", (event) => event.preventDefault());
}

function example(name) {
  $(name).value = pretty(EXAMPLES[name]);
  $(name).rows = 9;
  $(name).dispatchEvent(new Event("input", { bubbles: true }));
  check(name);
}

export function showModels(models) {
  const wanted = $("model").value || JSON.parse(localStorage.getItem(KEPT) ?? "{}").model;
  $("model").replaceChildren(...models.map((model) => h("option", { value: model.id }, model.id)));
  if (models.some((model) => model.id === wanted)) $("model").value = wanted;
}

export function showConversations(chosen = $("conversation").value) {
  const known = conversations.list().map((one) => h("option", { value: one.id }, one.title || one.id));
  $("conversation").replaceChildren(h("option", { value: "" }, "none"), h("option", { value: "new" }, "a new one"), ...known);
  $("conversation").value = chosen;
  if ($("conversation").selectedIndex < 0) $("conversation").value = "";
}

// Parses a JSON field; undefined if it is empty. Throws, and shows the error beside the field, if it is not JSON.
function check(name) {
  const field = $(name);
  const note = $(`${name}-problem`);
  try {
    const value = field.value.trim() ? JSON.parse(field.value) : undefined;
    if (name === "tools" && value !== undefined && !Array.isArray(value)) throw new Error("expected an array of tools");
    note.textContent = "";
    field.removeAttribute("aria-invalid");
    return value;
  } catch (error) {
    note.textContent = `Invalid JSON: ${error.message}`;
    field.setAttribute("aria-invalid", "true");
    return undefined;
  }
}

const number = (name) => ($(name).value === "" ? undefined : Number($(name).value));

// The request's body without `input` and without default values; null if a field is invalid.
export function readForm() {
  const tools = check("tools");
  const schema = check("schema");
  const wrong = document.querySelector("#request [aria-invalid=true], #request :invalid");
  if (wrong) {
    $("settings").open = true;
    wrong.focus();
    return null;
  }
  const body = {
    model: $("model").value,
    instructions: $("instructions").value || undefined,
    tools: tools?.length ? tools : undefined,
    include: tools && included(tools).length ? included(tools) : undefined,
    tool_choice: tools?.length && $("choice").value ? $("choice").value : undefined,
    text: schema && { format: { type: "json_schema", name: "answer", schema, strict: true } },
    reasoning: $("effort").value ? { effort: $("effort").value } : undefined,
    temperature: number("temperature"),
    max_output_tokens: number("max"),
    background: $("background").checked || undefined,
    store: $("store").checked ? undefined : false,
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}
