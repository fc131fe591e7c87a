// An open response: what it was asked, with which settings, what came, what it took, what was sent to the backend.

import { call } from "../api.mjs";
import { copy, h, laidOut, pretty, seconds, short, when } from "../dom.mjs";
import { itemView, problem } from "../items.mjs";
import { code } from "../markdown.mjs";
import { access } from "./access.mjs";
import { cost, status } from "./entries.mjs";
import { address, readAddress } from "./query.mjs";
import { requestOf } from "./fork.mjs";
import { sentSection } from "./sent.mjs";

const number = (value) => value.toLocaleString("en");

export async function readWhole(key) {
  const { one } = await access();
  return call("GET", one(key));
}

const link = (id, filters = readAddress().filters) => h("a", { href: address(id, filters) }, short(id));

export function table(facts) {
  const rows = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return h("dl", {}, ...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function tokens({ usage, response }) {
  const used = response.usage;
  if (!used && !usage?.total_tokens) return null;
  const read = used?.input_tokens ?? usage.input_tokens;
  const cached = used?.input_tokens_details?.cached_tokens ?? usage.cached_tokens;
  const written = used?.output_tokens ?? usage.output_tokens;
  const thought = used?.output_tokens_details?.reasoning_tokens ?? usage.reasoning_tokens;
  return `${number(read)} input${cached ? ` (${number(cached)} cached)` : ""}, ${number(written)} output${thought ? ` (${number(thought)} reasoning)` : ""}`;
}

function pairs(metadata) {
  const all = Object.entries(metadata ?? {});
  if (!all.length) return null;
  return h("span.pairs", {}, ...all.map(([name, value]) => h("a.pair", { href: address("", { metadata: `${name}=${value}` }), title: "Find responses with this metadata" }, `${name}=${value}`)));
}

export function facts(whole) {
  const { response } = whole;
  return table({
    status: h("span", {}, status(response.status), response.background ? " background" : ""),
    model: response.model,
    created: when(response.created_at),
    "first token": whole.time_to_first_token && seconds(whole.time_to_first_token),
    duration: whole.duration && seconds(whole.duration),
    tokens: tokens(whole),
    cost: whole.cost ? cost(whole.cost) : null,
    owner: whole.owner && whole.owner !== "local" ? whole.owner : null,
    continues: response.previous_response_id && link(response.previous_response_id),
    conversation: response.conversation && link(response.conversation.id, {}),
    metadata: pairs(response.metadata),
  });
}

function reason({ reason: why, response }) {
  if (why) return problem(why.message || why.code, why.message ? why.code : "");
  return response.status === "cancelled" ? problem(response.background ? "Cancelled." : "The client left before the end.", "") : null;
}

// What the request set, without what has a section of its own.
function parameters(whole) {
  const { model, instructions, tools, metadata, ...rest } = requestOf(whole);
  const all = Object.entries(rest);
  if (!all.length) return [];
  return [h("h3", {}, "Parameters"), table(Object.fromEntries(all.map(([name, value]) => [name, typeof value === "object" ? h("code", {}, JSON.stringify(value)) : String(value)])))];
}

function tools({ tools: all }) {
  if (!all?.length) return [];
  return [h("h3", {}, "Tools"), ...all.map((tool) => folded(tool.name ?? tool.server_label ?? tool.type, tool.type === "function" ? tool.description ?? "" : tool.type, () => code(pretty(tool), "declaration")))];
}

export function folded(name, note, inside, open = false) {
  const details = h("details.folded", { open }, h("summary", {}, name, note ? h("span.note", {}, ` ${note}`) : ""));
  const show = () => details.childElementCount < 2 && details.append(inside());
  details.addEventListener("toggle", show, { once: true });
  if (open) show();
  return details;
}

const section = (name, ...inside) => (inside.length ? [h("h3", {}, name), ...inside] : []);

// The parts of the view; `actions` are its buttons.
export function detail(whole, actions) {
  const { response, input } = whole;
  const asked = input.map((item) => itemView(item));
  const said = response.output.map((item) => itemView(item));
  const id = h("button.link", { type: "button", title: "Copy the id" }, response.id);
  id.addEventListener("click", () => copy(response.id, id));
  const instructions = response.instructions ? section("System prompt", h("p.plain.instructions", {}, response.instructions)) : [];
  return [
    h("h2", {}, whole.question || "Response"), h("p.id", {}, id), reason(whole), facts(whole), h("div.actions", {}, ...actions),
    ...instructions, ...section("Input", ...asked), ...section("Output", ...said),
    ...parameters(whole), ...tools(response), ...sentSection(whole), folded("Response as JSON", "", () => code(laidOut(JSON.stringify(response)), "json")),
  ].filter(Boolean);
}
