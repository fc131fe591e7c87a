// Calls that the client has to answer: a field for each, a choice for each approval, one button for all.

import { h } from "../dom.mjs";
import { called } from "../items.mjs";

const CALLS = { __proto__: null, function_call: "function_call_output", custom_tool_call: "custom_tool_call_output" };
const APPROVAL = "mcp_approval_request";

// The form for a response's calls; null where it has none. `send` gets the items.
export function outputsForm(response, lane, send) {
  const calls = (response.output ?? []).filter((item) => item.type in CALLS || item.type === APPROVAL);
  if (!calls.length) return null;
  const fields = calls.map((item) => field(item, `out-${lane}-${item.call_id ?? item.id}`));
  const labels = calls.map((item, index) => h("label", { htmlFor: fields[index].id }, item.type === APPROVAL ? "Approve " : "Output of ", h("strong", {}, called(item))));
  const form = h("form.outputs", {}, ...calls.flatMap((_, index) => [labels[index], fields[index]]),
    h("div.actions", {}, h("button", {}, calls.length > 1 ? "Send the outputs" : "Send the output")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(calls.map((item, index) => answer(item, fields[index].value)));
  });
  return form;
}

function field(item, id) {
  if (item.type === APPROVAL) return h("select", { id }, h("option", { value: "yes" }, "approve"), h("option", { value: "" }, "deny"));
  return h("textarea", { rows: 2, required: true, spellcheck: false, id, placeholder: '{"result": …}' });
}

function answer(item, value) {
  if (item.type === APPROVAL) return { type: "mcp_approval_response", approval_request_id: item.id, approve: value === "yes" };
  return { type: CALLS[item.type], call_id: item.call_id, output: value };
}
