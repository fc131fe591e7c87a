// The tool builder: the list of declared tools, and a dialog with a form for each kind. The JSON below it stays the source.

import { $, h, pretty } from "../dom.mjs";
import { at, control, labelled, parsed, put, textOfValue, valueOf } from "./fields.mjs";
import { KINDS, rowsOf, schemaOf, TYPES } from "./tool_kinds.mjs";

const name = (tool) => tool.name ?? tool.server_label ?? (tool.vector_store_ids ?? []).join(", ");

export class Tools {
  #index = -1; // of the tool in the dialog; -1: a new one
  #kind = "";
  #read = () => null;
  #kept = {}; // what the form of its kind has no field for

  // `read()` gives the declared tools or null, `write(tools)` declares them.
  constructor(read, write) {
    Object.assign(this, { read, write });
    $("tool-add").replaceChildren(h("option", { value: "" }, "Add a tool …"), ...Object.entries(KINDS).map(([kind, { label }]) => h("option", { value: kind }, label)));
    $("tool-add").addEventListener("change", () => {
      const kind = $("tool-add").value;
      $("tool-add").value = "";
      if (kind) this.#open({ type: kind, ...KINDS[kind].start }, -1);
    });
    $("tool-form").addEventListener("submit", (event) => this.#keep(event));
    $("tool-cancel").addEventListener("click", () => $("tool-dialog").close());
  }

  // Lists the tools.
  draw() {
    const tools = this.read() ?? [];
    $("tool-list").replaceChildren(...tools.map((tool, index) => h("li", {},
      h("button.link.tool", { type: "button", title: "Edit", onclick: () => this.#open(tool, index) }, KINDS[tool.type]?.label ?? String(tool.type)), " ", h("span", {}, name(tool)),
      h("button.link", { type: "button", "aria-label": `Remove ${tool.type} ${name(tool)}`, onclick: () => this.write(tools.filter((one) => one !== tool)) }, "×"))));
  }

  #open(tool, index) {
    this.#index = index;
    this.#kind = tool.type;
    $("tool-title").textContent = KINDS[tool.type]?.label ?? tool.type;
    $("tool-problem").textContent = "";
    $("tool-fields").replaceChildren(...this.#fields(tool));
    $("tool-dialog").showModal();
  }

  #fields(tool) {
    if (tool.type === "function") return this.#functionFields(tool);
    const fields = (KINDS[tool.type]?.fields ?? []).map((one, place) => ({ ...one, id: `tool-field-${place}` }));
    const plain = fields.every((one) => textOfValue(one, at(tool, one.path)) !== "" || (at(tool, one.path) ?? null) === null);
    if (!fields.length || !plain) return this.#json(tool);
    const controls = fields.map(control);
    fields.forEach((one, place) => (controls[place].value = textOfValue(one, at(tool, one.path))));
    this.#read = () => {
      const made = structuredClone(tool);
      for (const [place, one] of fields.entries()) put(made, one.path, valueOf(one, controls[place]));
      return JSON.parse(JSON.stringify(made), (key, value) => (value !== null && typeof value === "object" && !Array.isArray(value) && key === "filters" && !Object.keys(value).length ? undefined : value));
    };
    return fields.map((one, place) => labelled(one, controls[place]));
  }

  // A tool that no form fits: its JSON.
  #json(tool) {
    const field = { id: "tool-json", path: "JSON", kind: "json", rows: 12 };
    const made = control(field);
    made.value = pretty(tool);
    this.#read = () => parsed(made.value, "object");
    return [labelled(field, made)];
  }

  #functionFields(tool) {
    const rows = rowsOf(tool.parameters);
    const called = h("input", { id: "tool-name", required: true, pattern: "[a-zA-Z0-9_\\-]{1,64}", title: "letters, digits, _ and -", value: tool.name ?? "", autocomplete: "off", spellcheck: false });
    const description = h("textarea", { id: "tool-description", rows: 2, value: tool.description ?? "" });
    const strict = h("input", { type: "checkbox", id: "tool-strict", checked: tool.strict ?? true });
    const parameters = rows ? this.#rows(rows) : this.#schema(tool.parameters);
    this.#read = () => ({ ...tool, name: called.value, description: description.value || undefined, parameters: parameters.read(), strict: strict.checked });
    return [h("div", {}, h("label", { htmlFor: "tool-name" }, "name"), called), h("div", {}, h("label", { htmlFor: "tool-description" }, "description"), description), parameters.element,
      h("label.check", {}, strict, " strict")];
  }

  #schema(schema) {
    const made = h("textarea.mono", { id: "tool-schema", rows: 10, spellcheck: false, value: pretty(schema) });
    return { element: h("div", {}, h("label", { htmlFor: "tool-schema" }, "parameters (JSON schema)"), made), read: () => parsed(made.value, "object") };
  }

  #rows(rows) {
    const list = h("div.parameters", { role: "group", "aria-label": "parameters" });
    const add = (row) => list.append(parameterRow(row));
    rows.forEach(add);
    const more = h("button.link", { type: "button", onclick: () => add({ name: "", type: "string", description: "", values: "", required: true }) }, "Add a parameter");
    const read = () => schemaOf([...list.children].map((row) => row.read()));
    return { element: h("div", {}, h("p.label", {}, "parameters"), list, more), read };
  }

  #keep(event) {
    event.preventDefault();
    try {
      const tool = { type: this.#kind, ...this.#read() };
      const tools = [...(this.read() ?? [])];
      if (this.#index < 0) tools.push(tool);
      else tools[this.#index] = tool;
      this.write(tools);
      $("tool-dialog").close();
    } catch (error) {
      $("tool-problem").textContent = error.message;
    }
  }
}

function parameterRow({ name: called, type, description, values, required }) {
  const named = h("input", { value: called, placeholder: "name", "aria-label": "name", spellcheck: false });
  const kind = h("select", { "aria-label": "type" }, ...TYPES.map((one) => h("option", {}, one)));
  kind.value = type;
  const told = h("input", { value: description, placeholder: "description", "aria-label": "description" });
  const enumerated = h("input", { value: values, placeholder: "values: a, b, …", "aria-label": "values" });
  const must = h("input", { type: "checkbox", checked: required });
  const element = h("div.parameter", {}, named, kind, told, enumerated, h("label.check", {}, must, " required"),
    h("button.link", { type: "button", "aria-label": "Remove the parameter", onclick: () => element.remove() }, "×"));
  element.read = () => ({ name: named.value.trim(), type: kind.value, description: told.value, values: enumerated.value.trim(), required: must.checked });
  return element;
}
