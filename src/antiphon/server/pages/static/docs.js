// The API's document as a page: reads openapi.json of this server, asks no other host for anything.

const base = location.pathname.replace(/(\/v1)?\/(docs\/?)?$/, "");
const origin = location.origin + base;
const $ = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Text with `code` in it, nothing else: what the document says is never read as HTML.
function prose(text) {
  return text.split(/(`[^`]+`)/).map((part) => (part.startsWith("`") ? element("code", {}, part.slice(1, -1)) : part));
}

const resolve = (spec, schema) => (schema.$ref ? spec.components.schemas[schema.$ref.split("/").pop()] : schema);

function typeName(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeName))].join(" | ");
  if (schema.type === "array") return `array of ${typeName(schema.items ?? {})}`;
  return [schema.type ?? "any"].flat().join(" | ");
}

function range(schema) {
  for (const one of [schema, ...(schema.anyOf ?? [])]) {
    const [low, high] = [one.minimum ?? one.minLength, one.maximum ?? one.maxLength];
    if (low !== undefined && high !== undefined && high < 2 ** 53) return ` ${low}–${high}`;
    if (low !== undefined) return ` ≥ ${low}`;
  }
  return "";
}

// References that a type mentions, so that they can be opened in place.
function mentioned(schema) {
  if (schema.$ref) return [schema];
  return [...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])].flatMap(mentioned);
}

function schemaTable(spec, schema, seen = []) {
  const whole = resolve(spec, schema);
  const required = new Set(whole.required ?? []);
  const rows = Object.entries(whole.properties ?? {}).map(([name, field]) => {
    const cell = element("td", {}, element("span", { className: "type" }, typeName(field) + range(field)));
    if (field.description) cell.append(" ", ...prose(field.description));
    if (field.default !== undefined && field.default !== null && typeof field.default !== "object")
      cell.append(element("span", { className: "type" }, ` · default ${JSON.stringify(field.default)}`));
    for (const inner of mentioned(field)) cell.append(nested(spec, inner, seen));
    const first = element("td", {}, element("code", {}, name));
    if (required.has(name)) first.append(" ", element("span", { className: "must" }, "required"));
    return element("tr", {}, first, cell);
  });
  return element("div", {}, ...(whole.description ? [element("p", {}, ...prose(whole.description))] : []), element("table", {}, ...rows));
}

function nested(spec, schema, seen) {
  const name = typeName(schema);
  if (seen.includes(name)) return "";
  const details = element("details", { className: "nested" }, element("summary", {}, name));
  details.addEventListener("toggle", () => details.append(schemaTable(spec, schema, [...seen, name])), { once: true });
  return details;
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(method, path, body) {
  const lines = [`curl ${origin}${path}`];
  if (method !== "get") lines[0] += ` -X ${method.toUpperCase()}`;
  if (method === "post" && body) lines[0] = `curl ${origin}${path}`;
  if ($("key").value) lines.push(`  -H "Authorization: Bearer $ANTIPHON_API_KEY"`);
  if (body) lines.push(`  -H 'Content-Type: application/json'`, `  -d ${quote(body)}`);
  return lines.join(" \\\n");
}

async function send(method, path, body, out, stop) {
  const headers = body ? { "content-type": "application/json" } : {};
  if ($("key").value) headers.authorization = `Bearer ${$("key").value}`;
  const began = performance.now();
  out.textContent = "…";
  try {
    const answer = await fetch(origin + path, { method: method.toUpperCase(), headers, body: body || undefined, signal: stop });
    const head = `HTTP ${answer.status} · ${Math.round(performance.now() - began)} ms · ${answer.headers.get("x-request-id")}\n\n`;
    out.textContent = head;
    const kind = answer.headers.get("content-type") ?? "";
    if (!kind.startsWith("text/event-stream")) {
      const text = await answer.text();
      out.textContent = head + (kind.startsWith("application/json") ? JSON.stringify(JSON.parse(text), null, 2) : text);
      return;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      out.append(part.value);
      out.scrollTop = out.scrollHeight;
    }
  } catch (error) {
    out.append(error.name === "AbortError" ? "\nstopped" : `\n${error.message}`);
  }
}

function tryIt(method, path, operation, models) {
  const fields = (operation.parameters ?? []).map((parameter) => {
    const input = element("input", { placeholder: parameter.name, name: parameter.name });
    input.setAttribute("aria-label", parameter.name);
    return { parameter, input };
  });
  const media = operation.requestBody?.content["application/json"];
  const example = media && { ...(media.example ?? { model: "" }) };
  if (example && example.model === "") example.model = models[0] ?? "model-id";
  const body = media && element("textarea", { value: JSON.stringify(example, null, 2), spellcheck: false, ariaLabel: "Body" });
  const sample = element("pre");
  const out = element("pre", { className: "answer", hidden: true });
  const go = element("button", {}, "Send");
  const stop = element("button", { className: "quiet", hidden: true }, "Stop");
  const target = () => {
    let filled = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of fields) {
      if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(input.value) || `{${parameter.name}}`);
      else if (input.value) query.set(parameter.name, input.value);
    }
    return query.size ? `${filled}?${query}` : filled;
  };
  const refresh = () => (sample.textContent = curl(method, target(), body?.value));
  for (const input of [...fields.map((field) => field.input), body, $("key")]) input?.addEventListener("input", refresh);
  go.addEventListener("click", async () => {
    const controller = new AbortController();
    stop.onclick = () => controller.abort();
    out.hidden = stop.hidden = false;
    await send(method, target(), body?.value, out, controller.signal);
    stop.hidden = true;
  });
  refresh();
  const row = element("div", { className: "row" }, ...fields.map((field) => field.input));
  return [element("h3", {}, "Try it"), row, body ?? "", element("div", { className: "row" }, go, stop), out, element("h3", {}, "curl"), sample];
}

function inside(spec, method, path, operation, models) {
  const parts = [];
  if (operation.description) parts.push(element("p", {}, ...prose(operation.description)));
  if (operation.parameters) {
    const rows = operation.parameters.map((one) =>
      element("tr", {}, element("td", {}, element("code", {}, one.name)),
        element("td", {}, element("span", { className: "type" }, `${one.schema.type}, in the ${one.in} `), ...prose(one.description ?? ""))));
    parts.push(element("h3", {}, "Parameters"), element("table", {}, ...rows));
  }
  const body = operation.requestBody?.content["application/json"].schema;
  if (body) parts.push(element("h3", {}, `Body: ${typeName(body)}`), schemaTable(spec, body, [typeName(body)]));
  const [status, good] = Object.entries(operation.responses)[0];
  const kinds = Object.entries(good.content ?? {});
  const schema = kinds[0]?.[1].schema;
  parts.push(element("h3", {}, `Answer ${status}: ${kinds.map(([kind]) => kind).join(" or ")}`));
  if (schema) parts.push(nested(spec, schema, []));
  parts.push(nested(spec, { $ref: "#/components/schemas/Error" }, []));
  return element("div", { className: "inside" }, ...parts, ...tryIt(method, path, operation, models));
}

function article(spec, method, path, operation, models) {
  const summary = element("summary", {}, element("span", { className: `method ${method}` }, method.toUpperCase()),
    element("span", { className: "path" }, path), element("span", { className: "words" }, operation.summary));
  const details = element("details", {}, summary);
  details.addEventListener("toggle", () => details.append(inside(spec, method, path, operation, models)), { once: true });
  return element("article", { id: operation.operationId }, details);
}

function show(spec, models) {
  $("version").textContent = spec.info.version;
  const tags = new Map();
  for (const [path, methods] of Object.entries(spec.paths))
    for (const [method, operation] of Object.entries(methods))
      tags.set(operation.tags[0], [...(tags.get(operation.tags[0]) ?? []), [method, path, operation]]);
  $("loading").replaceWith(element("p", {}, ...prose(spec.info.description)));
  for (const [tag, operations] of tags) {
    $("contents").append(element("h2", {}, tag));
    $("operations").append(element("h2", {}, tag));
    for (const [method, path, operation] of operations) {
      $("contents").append(element("a", { href: `#${operation.operationId}` }, operation.summary));
      $("operations").append(article(spec, method, path, operation, models));
    }
  }
  open();
}

function open() {
  const details = document.querySelector(`article[id="${CSS.escape(location.hash.slice(1))}"] details`);
  if (!details) return;
  details.open = true;
  details.scrollIntoView();
}

$("find").addEventListener("input", () => {
  const word = $("find").value.toLowerCase();
  for (const one of document.querySelectorAll("article")) one.hidden = !one.querySelector("summary").textContent.toLowerCase().includes(word);
});
$("key").value = sessionStorage.getItem("antiphon-key") ?? "";
$("key").addEventListener("input", () => sessionStorage.setItem("antiphon-key", $("key").value));
addEventListener("hashchange", open);

async function names() {
  const headers = $("key").value ? { authorization: `Bearer ${$("key").value}` } : {};
  const answer = await fetch(`${origin}/v1/models`, { headers });
  return answer.ok ? (await answer.json()).data.map((model) => model.id) : [];
}

try {
  const [spec, models] = await Promise.all([fetch(`${origin}/openapi.json`).then((answer) => answer.json()), names()]);
  show(spec, models);
} catch (error) {
  $("loading").textContent = `The document could not be loaded: ${error.message}`;
}
