// Kinds of tools with the fields of their forms, as a table. A tool of another kind, or with other fields, is edited as JSON.

export const KINDS = {
  function: { label: "Function" },
  web_search: {
    label: "Web search",
    fields: [
      { path: "search_context_size", kind: "choice", options: ["low", "medium", "high"] },
      { path: "filters.allowed_domains", kind: "names", placeholder: "example.com, …" },
    ],
  },
  file_search: {
    label: "File search",
    fields: [
      { path: "vector_store_ids", kind: "names", placeholder: "vs_…", required: true },
      { path: "max_num_results", kind: "number", min: 1, max: 50, step: 1 },
    ],
  },
  code_interpreter: { label: "Code interpreter", start: { container: { type: "auto" } }, fields: [{ path: "container", kind: "json", rows: 3, placeholder: '{"type": "auto"}' }] },
  shell: { label: "Shell", start: { environment: { type: "container_auto" } }, fields: [{ path: "environment", kind: "json", rows: 3, of: "object" }] },
  image_generation: {
    label: "Image generation",
    fields: [
      { path: "size", kind: "choice", options: ["auto", "1024x1024", "1536x1024", "1024x1536"] },
      { path: "quality", kind: "choice", options: ["auto", "low", "medium", "high"] },
      { path: "output_format", kind: "choice", options: ["png", "jpeg", "webp"] },
    ],
  },
  mcp: {
    label: "MCP server",
    fields: [
      { path: "server_label", kind: "text", required: true, placeholder: "docs" },
      { path: "server_url", kind: "text", placeholder: "https://…" },
      { path: "authorization", kind: "secret", placeholder: "token: kept in this tab only" },
      { path: "allowed_tools", kind: "names", placeholder: "all" },
      { path: "require_approval", kind: "choice", options: ["always", "never"] },
    ],
  },
  custom: {
    label: "Custom (free text)",
    fields: [
      { path: "name", kind: "text", required: true },
      { path: "description", kind: "text" },
      { path: "format", kind: "json", of: "object", placeholder: '{"type": "text"}' },
    ],
  },
};

export const TYPES = ["string", "number", "integer", "boolean", "object", "array"];

// What of a hosted tool's items is shown by `include` only.
const INCLUDE = [
  [/^web_search/, "web_search_call.action.sources"],
  [/^file_search$/, "file_search_call.results"],
  [/^code_interpreter$/, "code_interpreter_call.outputs"],
];

export const included = (tools) => INCLUDE.filter(([type]) => tools.some((tool) => type.test(tool.type ?? ""))).map(([, name]) => name);

// A schema as rows of a form; null where it says more than the rows can.
export function rowsOf(schema) {
  if (!schema || Object.keys(schema).length === 0) return [];
  const { type, properties = {}, required = [], additionalProperties, ...rest } = schema;
  if (type !== "object" || Object.keys(rest).length || additionalProperties === true || typeof additionalProperties === "object") return null;
  const rows = Object.entries(properties).map(([name, { type: of, description = "", enum: values = [], ...more } = {}]) =>
    TYPES.includes(of) && !Object.keys(more).length && values.every((one) => typeof one === "string") ? { name, type: of, description, values: values.join(", "), required: required.includes(name) } : null);
  return rows.includes(null) ? null : rows;
}

export function schemaOf(rows) {
  const properties = Object.fromEntries(rows.filter((row) => row.name).map((row) => [row.name, {
    type: row.type,
    ...(row.description ? { description: row.description } : {}),
    ...(row.type === "string" && row.values ? { enum: row.values.split(/\s*,\s*/).filter(Boolean) } : {}),
  }]));
  return { type: "object", properties, required: rows.filter((row) => row.name && row.required).map((row) => row.name), additionalProperties: false };
}
