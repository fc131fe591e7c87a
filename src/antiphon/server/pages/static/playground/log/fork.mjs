// A stored response → the request that made it, for the form: everything copied, and editable.

import { call, id } from "../api.mjs";
import { access } from "./access.mjs";

const MOST_EARLIER = 50; // responses before another owner's one
export const ELSEWHERE = "Its conversation belongs to another owner: what was said there before is not part of this thread.";

// What a response repeats where the request did not say it; only for entries that do not have the parameters.
const DEFAULTS = { temperature: 1, top_p: 1, truncation: "disabled", parallel_tool_calls: true, tool_choice: "auto", top_logprobs: 0, presence_penalty: 0, frequency_penalty: 0, service_tier: "default", background: false, store: true };
const ECHOED = [...Object.keys(DEFAULTS), "max_output_tokens", "max_tool_calls", "prompt", "prompt_cache_key", "safety_identifier", "user"];
const TEXT = '{"format":{"type":"text"}}';

function echoed(response) {
  const body = {};
  for (const name of ECHOED) if (response[name] !== null && response[name] !== undefined && response[name] !== DEFAULTS[name]) body[name] = response[name];
  const { effort, summary } = response.reasoning ?? {};
  if (effort || summary) body.reasoning = { ...(effort && { effort }), ...(summary && { summary }) };
  if (response.text && JSON.stringify(response.text) !== TEXT) body.text = response.text;
  return body;
}

// A field that is null is one that was not set.
function withoutNulls(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null).map(([name, one]) => [name, withoutNulls(one)]));
}

// The request without its input.
export function requestOf({ response, parameters }) {
  const body = { ...withoutNulls(parameters ?? echoed(response)), model: response.model };
  if (response.instructions && !body.prompt) body.instructions = response.instructions;
  if (response.tools?.length) body.tools = response.tools;
  if (Object.keys(response.metadata ?? {}).length) body.metadata = response.metadata;
  return body;
}

export const isRedacted = (body) => JSON.stringify(body).includes("<redacted>");

// Ids that were derived from the response's own are left out, and what is the same without them.
function asSent(item, base) {
  const { id: name, status, ...rest } = item;
  const own = typeof name !== "string" || name.includes(base);
  const sent = own ? rest : { ...rest, id: name };
  if (sent.type !== "message") return sent;
  const texts = Array.isArray(sent.content) && sent.content.every((part) => part.type === "input_text" && Object.keys(part).length === 2);
  return texts && sent.content.length === 1 ? { ...sent, content: sent.content[0].text } : sent;
}

// What stands before the prompt, and the prompt's items.
export function inputOf({ response, input }) {
  const items = input.map((item) => asSent(item, response.id.slice("resp_".length)));
  const last = items.at(-1);
  const asks = last?.type === "message" && last.role === "user";
  return { before: asks ? items.slice(0, -1) : items, prompt: asks ? last : null };
}

// The items of the responses before it, oldest first: what its thread showed; and what of it is not there.
export async function earlier({ response, own }) {
  if (!response.previous_response_id) return { items: [], lacking: "" };
  if (!own) return earlierOfAnother(response.previous_response_id);
  const path = `/v1/responses/${id(response.previous_response_id)}`;
  const [previous, input] = await Promise.all([call("GET", path), call("GET", `${path}/input_items?order=asc&limit=100`)]);
  return { items: [...input.data, ...previous.output], lacking: "" };
}

// Of another owner, as operators read them: each response has the items of its own request only.
async function earlierOfAnother(last) {
  const { one } = await access();
  const found = [];
  let name = last;
  let began = null; // the oldest of them
  while (name && found.length < MOST_EARLIER) {
    const { response, input } = await call("GET", one(name));
    found.unshift([...input, ...response.output]);
    [name, began] = [response.previous_response_id, response];
  }
  return { items: found.flat(), lacking: name ? `Of the responses before it the last ${MOST_EARLIER} are part of this thread.` : began.conversation ? ELSEWHERE : "" };
}
