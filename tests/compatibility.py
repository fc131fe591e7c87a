"""What becomes of every field, item, tool and event: the data behind docs/compatibility.md.

`scripts/docs` writes the page anew; tests/test_docs.py checks data and page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from antiphon.core.kind import Kind as ToolKind
from antiphon.core.kinds import KINDS


class Field(NamedTuple):
    """`fate`: honoured (changes what is done), forwarded (to backends that know it), echoed (only), refused, or ignored."""

    name: str
    fate: str
    echoed: bool
    note: str = ""


class Kind(NamedTuple):
    """A type of item, tool or event, and what becomes of it."""

    types: str
    fate: str


def _declared(which: Callable[[ToolKind], bool]) -> str:
    return ", ".join(type for kind in KINDS if which(kind) for type in kind.declared)


BUILT_IN = (
    "file_search",
    "web_search",
    "code_interpreter",
    "programmatic_tool_calling",
    "image_generation",
)  # hosted tools that come with the server


def _nobody_runs(kind: ToolKind) -> bool:
    """Tell whether a kind's calls are neither made here nor offered to chat models."""
    return not kind.own_struct and kind.offer is None and kind.runs != "server" and kind.name not in BUILT_IN


FIELDS = (
    Field(
        "model",
        "honoured",
        True,
        "The configured id or an alias; the backend gets its own name for it. May be absent where the caller may call one model"
        " only.",
    ),
    Field("input", "honoured", False, "A string, or items. May be absent beside a history or `prompt`."),
    Field("instructions", "honoured", True, "Not carried over by `previous_response_id`."),
    Field(
        "access_programs",
        "forwarded",
        False,
        "To Responses backends; `x-antiphon-ignored` names it where there is none.",
    ),
    Field("background", "honoured", True, "Needs the store."),
    Field(
        "background_options",
        "honoured",
        False,
        "`completion_window` 2h and 8h: for half of it the response queues behind all others, and begins while half of all "
        "places are free; its model calls come after all others, and wait as long. Needs `background`, no `stream`, "
        "the default `service_tier`. `continuation_id`: requests with the same one go to one backend.",
    ),
    Field("client_metadata", "ignored", False),
    Field("context_management", "honoured", False, "Compaction at a threshold of tokens."),
    Field(
        "conversation",
        "honoured",
        True,
        "By string or object; not beside `previous_response_id`. An id begins with `conv_`.",
    ),
    Field("file_id", "honoured", False, "An unknown file is a 404."),
    Field("frequency_penalty", "honoured", True, "−2 to 2."),
    Field("image", "forwarded", False, "To Responses backends; `x-antiphon-ignored` names it where there is none."),
    Field(
        "include",
        "honoured",
        False,
        "`reasoning.encrypted_content`, `message.output_text.logprobs`; others do nothing.",
    ),
    Field(
        "max_output_tokens",
        "honoured",
        True,
        "1 or more; OpenAI wants 16. More than the model's window or its longest answer is clamped.",
    ),
    Field("max_tool_calls", "honoured", True),
    Field("metadata", "honoured", True, "16 pairs; keys of 64, values of 512 characters."),
    Field(
        "moderation",
        "honoured",
        True,
        "By a guard of the configuration that `model` names ([guardrails.md](guardrails.md)); `policy` blocks or only tells. The "
        "response has the verdicts in the place of the request's field.",
    ),
    Field(
        "multi_agent",
        "forwarded",
        False,
        "To Responses backends, whose agents' items come back; `x-antiphon-ignored` names it where there is none.",
    ),
    Field("parallel_tool_calls", "honoured", True),
    Field("presence_penalty", "honoured", True, "−2 to 2."),
    Field("previous_response_id", "honoured", True),
    Field("prompt", "honoured", True, "A template of the configuration."),
    Field("prompt_cache_key", "forwarded", True, "To backends that know it."),
    Field(
        "prompt_cache_options",
        "honoured",
        True,
        "`comparison_response_id`: the response has `prompt_cache_diagnostics`, for any backend. `prewarm`: the "
        "backend reads the "
        "prompt, and the response has no output. `mode` and `ttl` go to backends of OpenAI's kind, and to the "
        "Messages API as its "
        "own; others are not told, and `x-antiphon-ignored` names them. In the response only where the request has it.",
    ),
    Field("prompt_cache_retention", "forwarded", False, "To backends that know it."),
    Field(
        "reasoning",
        "honoured",
        True,
        "`effort` is a hint: a value that the model does not take becomes the nearest one, or is left out; `x-antiphon-ignored` "
        'then names `reasoning.effort` (a 400 with `unsupported_parameters = "refuse"`). `summary` mirrors the thoughts.',
    ),
    Field("safety_identifier", "forwarded", True, "To backends that know it."),
    Field(
        "service_tier",
        "forwarded",
        True,
        "To backends that know it; the response says what the backend does, else `default`.",
    ),
    Field("store", "honoured", True, "`false` leaves no trace on disk."),
    Field("stream", "honoured", False),
    Field(
        "stream_options",
        "ignored",
        False,
        "There is no obfuscation to switch off; usage is sent wherever the backend tells it.",
    ),
    Field("temperature", "honoured", True, "0 to 2."),
    Field(
        "text",
        "honoured",
        True,
        "Nested or flat; a flat request gets the flat `type` beside the nested form. Under"
        " `json_schema` may stand the schema itself.",
    ),
    Field(
        "tool_choice",
        "honoured",
        True,
        "All forms, also as chat completions nest them. A forced call that the backend does not make is asked for again by a "
        "schema. Where there is "
        "still none, the first answer is given, and `tool_choice` named in `x-antiphon-ignored` and in the log. "
        "Left out, and named in `x-antiphon-ignored`, where the backend refuses it.",
    ),
    Field("tools", "honoured", True, "See below."),
    Field("top_logprobs", "honoured", True, "0 to 20."),
    Field("top_p", "honoured", True, "0 to 1."),
    Field(
        "truncation",
        "honoured",
        True,
        "`auto` leaves out the oldest items where the window is too small; an unknown window is read from the backend's refusal.",
    ),
    Field("user", "forwarded", True, "To backends that know it."),
    Field("max_tokens", "refused", False, "400; the message names `max_output_tokens`."),
    Field("messages", "refused", False, "400; the message names `input`."),
    Field("modalities", "refused", False, '400; but `["text"]`: answers are text.'),
    Field("n", "refused", False, "400; but 1: a response is one answer."),
    Field(
        "anything else",
        "forwarded",
        False,
        "A setting: `unknown_fields` = `forward`, `ignore` or `reject`. One that the backend gets from a field above, such as"
        " `response_format` beside `text.format`, is not sent twice: `x-antiphon-ignored` names it.",
    ),
)

NESTED = (
    Kind("access_programs.cyber", "As `access_programs`."),
    Kind(
        "background_options, background_options.completion_window, background_options.continuation_id",
        "As `background_options`.",
    ),
    Kind(
        "context_management[].type, context_management[].compact_threshold", "Honoured: `compaction` is the one type."
    ),
    Kind("conversation.id", "Honoured."),
    Kind("image.context_compression", "As `image`."),
    Kind(
        "moderation.model, moderation.policy, moderation.policy.input, moderation.policy.input.mode, moderation.policy.output, "
        "moderation.policy.output.mode",
        "As `moderation`.",
    ),
    Kind("multi_agent.enabled, multi_agent.max_concurrent_subagents", "As `multi_agent`."),
    Kind(
        "prompt_cache_options.comparison_response_id, prompt_cache_options.mode, prompt_cache_options.prewarm, "
        "prompt_cache_options.ttl",
        "As `prompt_cache_options`.",
    ),
    Kind("reasoning.effort, reasoning.summary, reasoning.generate_summary", 'Honoured; a summary `"off"` is none.'),
    Kind(
        "reasoning.context, reasoning.mode",
        "Forwarded to Responses backends, and echoed; `x-antiphon-ignored` names them where there is none.",
    ),
    Kind("stream_options.include_obfuscation", "Ignored: nothing is padded."),
)
"""Fields within a request's objects, but for those of items, tools, formats and prompts."""

INCLUDES = (
    Kind("reasoning.encrypted_content", "Thoughts, sealed for their owner."),
    Kind("message.output_text.logprobs", "Where the backend gives them."),
    Kind(
        "file_search_call.results, web_search_call.results, web_search_call.action.sources, code_interpreter_call.outputs",
        "Of hosted tools that run here; also when a response is read.",
    ),
    Kind("message.input_image.image_url, computer_call_output.output.image_url", "Ignored: they are always there."),
)

ANSWERED = (
    Kind("id, object, created_at, completed_at, status, output, usage", "Always there."),
    Kind("error", "With `code`, `message`, `param` and `type`; null unless the response failed."),
    Kind(
        "incomplete_details",
        "`max_output_tokens` or `content_filter`; from a Responses backend also `max_messages` and `steered`.",
    ),
    Kind("tool_usage", "Where a hosted tool was called: tokens of pictures, number of searches."),
    Kind("input_transformations", "Where thoughts of the input were left out."),
    Kind("moderation", "Where it was asked for, or a guard found something."),
    Kind("prompt_cache_diagnostics", "Where `prompt_cache_options` name a response to compare with."),
    Kind("access_programs, image, prompt_cache_retention", "Not sent."),
)
"""Fields of a response beside those that repeat its request."""

ITEMS = (
    Kind(
        "message",
        "In and out, with text, refusal, image, file and audio parts. Needs no `type`. Parts in chat completions' spelling "
        "(`text`, `image_url`, `file`) are taken, and stored in this API's; OpenAI refuses them. Messages of the role `tool` "
        "and `tool_calls` are refused. `prompt_cache_breakpoint` of a part is kept; a Responses backend gets it, "
        "the Messages API as "
        "`cache_control`, a chat backend, which caches by prefix, does not.",
    ),
    Kind(
        "reasoning",
        "In and out: raw thoughts, summary, sealed content, which opens for its owner only. A Responses backend's own "
        "sealed content passes both ways, asked for or not. Without content where a backend sent data for itself alone. "
        "Dropped by a client, it is found again by call id (`recall_bytes`).",
    ),
    Kind(
        "function_call, function_call_output",
        "In and out; an output may be a string or parts. Without `call_id` it belongs to the first call without one of "
        "the function `name`, or is the user's (Codex's goals). `arguments` may be an object. Ids of calls may repeat: an "
        "output belongs to the nearest earlier call of its id. A second, different output for a call, and one without a "
        "call, are a 400. Messages between calls and their outputs stand before the calls in a backend's prompt. The ids "
        "of new calls are unique in their conversation, whatever the backend sends. A call of an asynchronous tool has "
        "`async: true`.",
    ),
    Kind("custom_tool_call, custom_tool_call_output", "In and out; functions on the way to chat backends."),
    Kind("item_reference", "In: stands for the stored item."),
    Kind(
        "shell_call, shell_call_output, local_shell_call, local_shell_call_output, apply_patch_call, apply_patch_call_output",
        "In and out; functions on the way to chat backends.",
    ),
    Kind(
        "tool_search_call, tool_search_output, additional_tools",
        "In and out: tools that are found on the way, by the client or by this server.",
    ),
    Kind(
        "mcp_list_tools, mcp_call, mcp_approval_request, mcp_approval_response",
        "In and out; the server makes the calls. An approval is good for a request that this server signed for its owner.",
    ),
    Kind(
        "compaction, compaction_summary, compaction_trigger",
        "In and out; sealed by the server for its owner. Another server's goes to a Responses backend; else"
        " `x-antiphon-ignored` names it.",
    ),
    Kind(
        "agent_message, multi_agent_call, multi_agent_call_output",
        "Taken and kept; a Responses backend gets them as they came and may send them, a chat model does not see them, and"
        " `x-antiphon-ignored` names them."
        " `agent` of messages, thoughts, calls and outputs likewise.",
    ),
    Kind("configuration_update", "In: changes settings from there on, until the next."),
    Kind(
        "web_search_call, file_search_call, code_interpreter_call",
        "Taken and kept; a chat model sees the call, and what it gave as far as `results`, `outputs` or the server's store tell.",
    ),
    Kind(
        "program, program_output",
        "In and out; a chat model sees the code and the result, not the calls within. One that waits goes on with their outputs.",
    ),
    Kind(
        "image_generation_call",
        "Taken and kept; a chat model sees those that it asked for here as calls, without the picture.",
    ),
    Kind(
        ", ".join(item.type for kind in KINDS if _nobody_runs(kind) for item in kind.items if item.read is None),
        "Taken and kept; a Responses backend gets them as they came, a chat model does not see them, and"
        " `x-antiphon-ignored` names them.",
    ),
)

TOOLS = (
    Kind(
        "function",
        "Honoured; also in chat completions' nested form. With `async: true` the model goes on without the output, which comes "
        "with a later request, on any chat model; a Responses backend gets the field as it is.",
    ),
    Kind("custom", "Honoured, also with `async`; a grammar constrains the backend where it can."),
    Kind("namespace", "Honoured; the call comes back with `name` and `namespace` apart."),
    Kind(
        "mcp",
        "Run by the server, with approval where it is asked for. `authorization`, `headers` and all of `server_url` behind its "
        "origin are not echoed and not kept: send them with every request.",
    ),
    Kind(
        _declared(lambda kind: kind.offer is not None),
        "Given to chat models as functions; the client runs them. A `shell` with a container is run here.",
    ),
    Kind(
        _declared(lambda kind: kind.name in BUILT_IN),
        "Run here, where they are on, for models of chat backends ([hosted-tools.md](hosted-tools.md)). Responses backends get"
        " them as they came.",
    ),
    Kind(
        _declared(_nobody_runs),
        "Taken and echoed; not run here. The header `x-antiphon-ignored` names them. A Responses backend gets them.",
    ),
)
