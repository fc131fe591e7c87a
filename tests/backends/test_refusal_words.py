# ruff: noqa: E501 (a table reads best with one case per line)
"""What refusals teach, in the words of servers that are known to say them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from antiphon.backends.learning.adaptations import Adaptation
from antiphon.backends.learning.chat_wishes import drop
from antiphon.backends.learning.efforts import nearest_effort
from antiphon.backends.learning.overflow_words import Overflow, overflow
from antiphon.backends.learning.refusal_words import Lesson, lesson
from antiphon.backends.refusals import refusal
from antiphon.errors import BackendError

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}]
LOOSE = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"minLength": 1, "pattern": "a"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}


def taught(words: str, param: str = "", status: int = 400, **sent: Any) -> Adaptation | None:
    """Return what an error body with these words teaches of a request with these fields."""
    error = refusal(status, json.dumps({"error": {"message": words, "param": param or None}}).encode())
    fields = {"model": "m", "messages": [], "temperature": 0.5, "stream": True, **sent}
    found = lesson(
        error, {name: msgspec.Raw(json.dumps(value, separators=(",", ":")).encode()) for name, value in fields.items()}
    )
    return None if found is None else found.adaptation


@pytest.mark.parametrize(
    ("words", "sent", "learned"),
    [
        # Streams only
        ("parameter.enable_thinking must be set to false for non-streaming calls", {"stream": False}, {"stream": "always"}),
        ("This model only support stream mode, please enable the stream parameter to access the model. ", {"stream": False}, {"stream": "always"}),
        ("Streaming is strongly recommended for operations that may take longer than 10 minutes", {"stream": False}, {"stream": "always"}),
        ("`stream` must be true for this model", {"stream": False}, {"stream": "always"}),
        # No streams
        ("Unsupported value: 'stream' does not support true with this model. Only the default (false) value is supported.", {}, {"stream": "never"}),
        ("Your organization must be verified to stream this model.", {}, {"stream": "never"}),
        ("Streaming is not supported for this model", {}, {"stream": "never"}),
        ("Cannot use tools with stream", {"tools": TOOLS}, {"stream": "never"}),
        # Efforts
        ("`reasoning_effort` must be one of `none` or `default`", {"reasoning_effort": "medium"}, {"efforts": ("none", "default")}),
        ("Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. Supported values are: 'low', 'medium', and 'high'.", {"reasoning_effort": "minimal"}, {"efforts": ("low", "medium", "high")}),
        ("Invalid value: 'xhigh'. Supported values are: 'low', 'medium', and 'high'.", {"reasoning_effort": "xhigh"}, {"efforts": ("low", "medium", "high")}),
        ('level "max" not supported, valid levels: low, medium, high, xhigh', {"reasoning_effort": "max"}, {"efforts": ("low", "medium", "high", "xhigh")}),
        ("1 validation error: {'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), 'msg': \"Input should be 'low', 'medium' or 'high'\"}", {"reasoning_effort": "xhigh"}, {"efforts": ("low", "medium", "high")}),
        ("Unsupported parameter: 'reasoning_effort' is not supported with this model.", {"reasoning_effort": "high"}, {"drop": ("reasoning_effort",)}),
        ("Model grok-build does not support parameter reasoningEffort.", {"reasoning_effort": "high"}, {"drop": ("reasoning_effort",)}),
        ("Unrecognized request argument supplied: reasoning_effort", {"reasoning_effort": "high"}, {"drop": ("reasoning_effort",)}),
        ('"llama3.2" does not support thinking', {"reasoning_effort": "high"}, {"drop": ("reasoning_effort",)}),
        ("Reasoning is not supported: effort", {"reasoning": {"effort": "high"}}, {"drop": ("reasoning_effort",)}),
        ("Extra inputs are not permitted: chat_template_kwargs", {"chat_template_kwargs": {"enable_thinking": True}}, {"drop": ("enable_thinking",)}),
        ("Thinking level MINIMAL is not supported for this model. Please retry with other thinking level.", {"reasoning_effort": "minimal"}, {"efforts": ("low", "medium", "high")}),
        ("reasoning_effort 'medium' is not supported", {"reasoning_effort": "medium"}, {"efforts": ("low", "high")}),
        ("Reasoning is mandatory for this endpoint and cannot be disabled.", {"reasoning": {"effort": "none"}}, {"efforts": ("low", "medium", "high")}),
        ("chat_template_kwargs is not supported for Mistral tokenizers.", {"chat_template_kwargs": {"enable_thinking": True}}, {"drop": ("enable_thinking",)}),
        # The choice of a tool
        ("Invalid tool_choice type: 'object'. Supported string values: none, auto, required", {"tool_choice": {"type": "function"}}, {"forced_calls": "schema"}),
        ("No endpoints found that support the provided 'tool_choice' value.", {"tool_choice": "required"}, {"drop": ("tool_choice",)}),
        ("<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support being set to required or object in thinking mode", {"tool_choice": "required", "reasoning_effort": "low"}, {"drop": ("tool_choice",)}),
        ("Thinking may not be enabled when tool_choice forces tool use. It is not allowed.", {"tool_choice": {"type": "function"}}, {"drop": ("tool_choice",)}),
        ("tool_choice must be 'auto' or 'none'", {"tool_choice": "required"}, {"drop": ("tool_choice",)}),
        # Formats
        ("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.", {"response_format": SCHEMA}, {"response_format": "json_object"}),
        ("This response_format type is unavailable now, it must be one of text", {"response_format": {"type": "json_object"}}, {"response_format": "none"}),
        ("'response_format.type' must be 'json_schema' or 'text'", {"response_format": {"type": "json_object"}}, {"response_format": "json_schema"}),
        ("response_format: schema is not supported", {"response_format": {"type": "json_object", "schema": {}}}, {"response_format": "json_object"}),
        ("Function calling with a response mime type: 'application/json' is unsupported. See response_format.", {"response_format": SCHEMA, "tools": TOOLS}, {"response_format": "none"}),
        ("json mode cannot be combined with tool/function calling: response_format is not supported here", {"response_format": {"type": "json_object"}, "tools": TOOLS}, {"response_format": "none"}),
        # The history
        ("System role not supported", {}, {"roles": "user"}),
        ("Unsupported value: 'messages[0].role' does not support 'system' with this model.", {}, {"roles": "user"}),
        ("Developer instruction is not enabled for models/gemma-3-27b-it", {}, {"roles": "user"}),
        ("Conversation roles must alternate user/assistant/user/assistant/...", {}, {"roles": "alternate"}),
        ("Unexpected role 'user' after role 'tool'", {}, {"roles": "alternate"}),
        ("System message must be at the beginning.", {}, {"roles": "merge-first"}),
        ("Tool call id was functions.read:0 but must be a-z, A-Z, 0-9, with a length of 9.", {}, {"call_ids": "short"}),
        ("The `reasoning_content` in the thinking mode must be passed back to the API.", {}, {"needs_reasoning": True}),
        ("property 'messages.1.assistant.reasoning_content' is unsupported", {"messages": [{"role": "assistant", "content": "", "reasoning_content": "hm"}]}, {"reasoning_out": "none"}),
        # Schemas
        ("Invalid JSON payload received. Unknown name \"const\" at 'tools[0].function_declarations[0].parameters': Cannot find field.", {"tools": TOOLS}, {"strict_schema": "gemini"}),
        ("At path 'properties.x': type is not defined, the schema is not a valid moonshot flavored json schema", {"tools": TOOLS}, {"strict_schema": "moonshot"}),
        ("Invalid schema for function 'f': schema must have type 'object' and not have 'oneOf' at the top level.", {"tools": TOOLS}, {"strict_schema": "openai"}),
        ("Invalid schema for response_format 'x': In context=('properties', 'a'), 'minLength' is not permitted.", {"response_format": LOOSE}, {"drop": ("schema.minLength",)}),
        ("tools.0.input_schema: For 'string' type, properties minLength, pattern are not supported", {"tools": TOOLS, "response_format": LOOSE}, {"drop": ("schema.minLength", "schema.pattern")}),
        # Names of fields
        ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", {"max_tokens": 9}, {"max_tokens": "max_completion_tokens"}),
        ("max_completion_tokens is unknown, please use max_tokens", {"max_completion_tokens": 9}, {"max_tokens": "max_tokens"}),
        ("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.", {}, {"drop": ("temperature",)}),
        ("`temperature` may only be set to 1 when thinking is enabled.", {}, {"drop": ("temperature",)}),
        ("invalid temperature: only 1 is allowed for this model", {}, {"drop": ("temperature",)}),
        ("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled", {"top_p": 0.5}, {"drop": ("top_p",)}),
        ("Argument not supported on this model: presencePenalty", {"presence_penalty": 1}, {"drop": ("presence_penalty",)}),
        ("`temperature` and `top_p` cannot both be specified for this model.", {"top_p": 1}, {"drop": ("temperature",)}),
        ('MistralException - {"detail": [{"type": "extra_forbidden", "loc": ["body", "parallel_tool_calls"], "msg": "Extra inputs are not permitted"}]}', {"parallel_tool_calls": False}, {"drop": ("parallel_tool_calls",)}),
        ("json: unknown field 'stream_options', expected one of `temperature`, `top_p`", {"stream_options": {}}, {"drop": ("stream_options",)}),
        ("'logprobs' is not supported with this model", {"logprobs": True}, {"drop": ("logprobs", "top_logprobs")}),
        ("Unknown parameter: 'user'", {"user": "u"}, {"drop": ("user",)}),
        ("Unrecognized request argument supplied: user", {"user": "u"}, {"drop": ("user",)}),
        ("Unrecognized request argument supplied: verbosity", {"verbosity": "low"}, {"drop": ("verbosity",)}),
        ("This response_format type is unavailable now", {"response_format": {"type": "json_object"}}, {"response_format": "none"}),
        ("tools[0].function.strict is not supported", {"tools": TOOLS}, {"drop": ("strict",)}),
    ],
)  # fmt: skip
def test_a_refusal_teaches(words: str, sent: dict[str, Any], learned: dict[str, Any]) -> None:
    for status in (400, 422, 500):
        assert taught(words, status=status, **sent) == Adaptation(**learned)


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ("messages with role 'user' are not supported at this place", {"user": "u"}),
        ("temperature must be less than or equal to 1", {}),
        ("Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required", {"response_format": SCHEMA}),
        ("Grammar error: Invalid type: nonsense", {"response_format": SCHEMA}),
        ("tool_choice is not supported", {}),
        ("unknown field `seed`, expected one of `temperature`, `reasoning_effort`", {"seed": 1}),
        ("streaming is not supported", {"stream": False}),
        ("The tool 'stream' failed", {}),
        ("seed is not supported", {"seed": 1}),
        ("image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_others_teach_nothing(words: str, sent: dict[str, Any]) -> None:
    assert taught(words, **sent) is None


def test_the_field_that_a_server_names_apart_counts() -> None:
    words = "This parameter is not supported with temperature."
    assert taught(words, "top_p", top_p=1) == Adaptation(drop=("top_p",))
    assert taught("Not supported.", "reasoning_effort", reasoning_effort="high") == Adaptation(
        drop=("reasoning_effort",)
    )
    assert taught("Not supported.", "response_format.type", response_format=SCHEMA) == Adaptation(
        response_format="json_object"
    )


@pytest.mark.parametrize("status", [401, 402, 429, 503, 504])
def test_what_is_no_matter_of_the_request_teaches_nothing(status: int) -> None:
    assert taught("temperature is not supported", status=status) is None


def test_an_effort_that_nobody_knows_teaches_nothing_for_others() -> None:
    error = BackendError(400, "reasoning_effort is not supported")
    assert lesson(error, {"reasoning_effort": msgspec.Raw(b'"banana"')}) == Lesson(
        Adaptation(drop=("reasoning_effort",)), lasting=False
    )


def test_words_of_llama_cpp_python_under_status_500() -> None:
    trace = '\n\n  File "/venv/lib/python3.11/site-packages/llama_cpp/server/app.py", line 376, in create\n    POST /v1/chat/completions'
    words = (
        "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'),"
        " 'msg': \"Input should be 'text' or 'json_object'\", 'input': 'json_schema'}"
    )
    assert taught(words + trace, status=500, response_format=SCHEMA) == Adaptation(response_format="object_schema")
    error = refusal(500, json.dumps({"error": {"message": words + trace}}).encode())
    assert (error.status, error.retriable, "app.py" in error.message, "POST" in error.message) == (
        400,
        False,
        False,
        False,
    )


@pytest.mark.parametrize(
    "words",
    [
        "image input is not supported - hint: you may need to provide the mmproj",
        "litellm.InternalServerError: OpenAIException - image input is not supported",
        "This model does not support image content.",
        "Unsupported content type",
    ],
)
def test_a_server_error_that_comes_of_the_request_is_final(words: str) -> None:
    error = refusal(500, json.dumps({"error": {"message": words}}).encode())
    assert (error.status, error.retriable, error.message) == (400, False, words)


@pytest.mark.parametrize("words", ["CUDA error: operation not supported", "out of memory", "the worker died", ""])
def test_other_server_errors_may_be_tried_again(words: str) -> None:
    error = refusal(500, json.dumps({"error": {"message": words}}).encode())
    assert (error.status, error.retriable) == (502, True)


@pytest.mark.parametrize(
    ("effort", "taken", "nearest"),
    [
        ("medium", (), "medium"),
        ("medium", ("none", "default"), "default"),
        ("minimal", ("none", "low"), "none"),
        ("none", ("low", "high"), "low"),
        ("xhigh", ("low", "high"), "high"),
        ("banana", ("low", "high"), "high"),
        ("high", ("on", "off"), "on"),
    ],
)
def test_the_nearest_effort(effort: str, taken: tuple[str, ...], nearest: str) -> None:
    assert nearest_effort(effort, taken) == nearest


TOO_LONG = "context_length_exceeded"


@pytest.mark.parametrize(
    ("words", "code", "sizes"),
    [
        ("This model's maximum context length is 2048 tokens. However, you requested 40068 tokens (40008 in the messages, 60 in the completion). Please reduce the length of the messages or completion.", TOO_LONG, (2048, 40008)),
        ("request (18029 tokens) exceeds the available context size (2048 tokens), try increasing it", TOO_LONG, (2048, 18029)),
        ("This model's maximum context length is 2048 tokens. However, your prompt contains 100050 characters (more than 32768 characters, which is the upper bound for 2048 input tokens).", TOO_LONG, (2048, 0)),
        ("prompt is too long: 203456 tokens > 200000 maximum", TOO_LONG, (200000, 203456)),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", TOO_LONG, (1048576, 1200000)),
        ("Input length 40000 exceeds the maximum context length of 32,768 tokens", TOO_LONG, (32768, 40000)),
        ("The prompt is too long.", TOO_LONG, (0, 0)),
        ("The prompt is too long: 140000, model maximum context length: 131072", TOO_LONG, (131072, 140000)),
        ("Trying to keep the first 4823 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens", TOO_LONG, (4096, 4823)),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens`", TOO_LONG, (200000, 190000, True)),
        ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 8000 `inputs` tokens and 512 `max_new_tokens`", TOO_LONG, (8193, 8000, True)),
        ("'max_tokens' is too large: 2000. This model's maximum context length is 2048 tokens and your request has 100 input tokens (2000 > 2048 - 100).", TOO_LONG, (2048, 100, True)),
        ("This endpoint's maximum context length is 32768 tokens. However, you requested about 33000 tokens (1000 of text input, 32000 in the output).", TOO_LONG, (32768, 1000, True)),
        ("max_tokens=100000 cannot be greater than max_model_len=2048. Please request fewer output tokens.", "", (2048, 0, True)),
        ("max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.", "", (0, 0, False, 16384)),
        ("max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for the model", "", (0, 0, False, 64000)),
        ("`max_tokens` must be less than or equal to `8192`", "", (0, 0, False, 8192)),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", "", (0, 0, False, 8192)),
        ("it has a maxOutputTokens value of 100000 but the supported range is from 1 (inclusive) to 8193 (exclusive).", "", (0, 0, False, 8192)),
        ("temperature must be below 2", "", None),
        ("max_tokens must be an integer", "", None),
    ],
)  # fmt: skip
def test_sizes_are_read(words: str, code: str, sizes: tuple[Any, ...] | None) -> None:
    error = BackendError(400, words, code=code or "invalid_value")
    assert overflow(error, 100_000) == (None if sizes is None else Overflow(*sizes))


def test_there_is_room_for_an_answer() -> None:
    assert Overflow(2048, 4096).share(None) == pytest.approx(0.4375)
    assert Overflow(2048, 4096).share(1024) == pytest.approx(0.25)
    assert Overflow(2048, 4096).share(9999) == pytest.approx(0.4375)
    assert Overflow(2048).share(None) == Overflow().share(None) == 0.5


@pytest.mark.parametrize("odd", [b"1e999", b"-1e999", b"[" * 5000 + b"]" * 5000, b'{"a":1e400}'])
@pytest.mark.parametrize("field", ["tools", "response_format", "messages", "reasoning", "tool_choice", "stream"])
@pytest.mark.parametrize(
    "words",
    [
        "tool_choice is not supported",
        "'minLength' is not supported",
        "roles must alternate",
        "reasoning_effort: unsupported",
    ],
)
def test_values_that_cannot_be_read_are_no_failure(odd: bytes, field: str, words: str) -> None:
    sent = {"messages": msgspec.Raw(b"[]"), "tools": msgspec.Raw(b"[]")} | {field: msgspec.Raw(odd)}
    lesson(BackendError(400, words), sent)
    tools = b'[{"function":{"parameters":{"minLength":%b}}}]' % odd
    fields = {"tools": tools}
    drop(fields, ("schema.minLength",), "auto")
    assert fields["tools"] == tools
