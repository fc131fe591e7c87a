"""Chunks and answers that do not have the shape of chat completions: what can be understood of them is.

A field beside the answer (usage, details, logprobs, refusal) that has another type than it should is passed over. One that
is the answer (the text, a call's name and arguments) is an error, as nobody knows what was meant.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from antiphon.backends.chat.answers.errors import no_answer
from antiphon.backends.chat.opaque.fields import BLOCKS, OF_CALLS, WHOLE
from antiphon.backends.error_words import integer, mended
from antiphon.core.json_encoding import to_json
from antiphon.core.text.surrogate_halves import Halves
from antiphon.errors import BackendError
from antiphon.types.chat import (
    ChatChoice,
    ChatChunk,
    ChatCustom,
    ChatDelta,
    ChatFunction,
    ChatPart,
    ChatToolCall,
    ChatUsage,
    CompletionDetails,
    PromptDetails,
)

LARGEST = 512 * 1024

_NOTHING = (None, False, "", 0)


def read_chunk(payload: bytes, halves: Halves) -> ChatChunk:
    """Read a chunk or an answer of an odd shape. Raises BackendError for what is none."""
    if len(payload) > LARGEST:
        raise no_answer(payload)
    try:
        value = mended(payload, halves)
        if isinstance(value, dict):
            return _chunk(value)
    except (ValueError, RecursionError):
        pass
    raise no_answer(payload)


def _wrong(name: str, value: object) -> BackendError:
    return BackendError(502, f"The backend sent a '{name}' of the wrong type: {_type(value)}.")


def _type(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")


def _chunk(value: dict[str, Any]) -> ChatChunk:
    choices = value.get("choices")
    found = [_choice(entry) for entry in choices if isinstance(entry, dict)] if isinstance(choices, list) else None
    error = value.get("error")
    return ChatChunk(
        choices=found,
        usage=_usage(value.get("usage")),
        error=Raw(to_json(error)) if error not in _NOTHING and error not in ({}, []) else None,
        citations=_kept(value.get("citations")),
        search_results=_kept(value.get("search_results")),
        web_search=_kept(value.get("web_search")),
        references=_kept(value.get("references")),
    )


def _choice(value: dict[str, Any]) -> ChatChoice:
    logprobs = value.get("logprobs")
    return ChatChoice(
        index=integer(value.get("index")),
        delta=_delta(value.get("delta")),
        message=_delta(value.get("message")),
        finish_reason=_string(value.get("finish_reason")),
        logprobs=Raw(to_json(logprobs)) if isinstance(logprobs, dict) else None,
        usage=_usage(value.get("usage")),
    )


def _delta(value: object) -> ChatDelta | None:
    if not isinstance(value, dict):
        if value in _NOTHING or value == []:
            return None
        raise _wrong("message", value)
    function = value.get("function_call")
    return ChatDelta(
        content=_content(value.get("content")),
        reasoning_content=_thoughts(value.get("reasoning_content")),
        reasoning=_thoughts(value.get("reasoning")),
        thinking=_thoughts(value.get("thinking")),
        reasoning_text=_thoughts(value.get("reasoning_text")),
        refusal=_string(value.get("refusal")),
        tool_calls=_tool_calls(value.get("tool_calls")),
        function_call=_function(function) if isinstance(function, dict) and function else None,
        **{name: _raw(value.get(name)) for name in (*BLOCKS, *WHOLE)},
        annotations=_kept(value.get("annotations")),
        images=_kept(value.get("images")),
    )


def _content(value: object) -> str | list[ChatPart] | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return [_part(entry) for entry in value if entry is not None]
    if value is None or value is False or value == {}:
        return None
    if isinstance(value, dict):
        return [_part(value)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return to_json(value).decode()  # an answer such as `5`, which a proxy took for JSON
    raise _wrong("content", value)


def _part(value: object) -> ChatPart:
    if isinstance(value, str):
        return ChatPart(text=value)
    if not isinstance(value, dict):
        raise _wrong("content", value)
    text = value.get("text")
    if isinstance(text, dict):
        text = text.get("value")  # of assistants' messages: beside their annotations
    if text is not None and not isinstance(text, str):
        raise _wrong("text", text)
    if text is None and value.get("type") in ("text", "output_text", None):
        text = _string(value.get("content")) or _string(value.get("value"))
    thinking = value.get("thinking")
    return ChatPart(
        type=_string(value.get("type")) or "text",
        text=text,
        refusal=_string(value.get("refusal")),
        thinking=_thoughts(thinking),
        image_url=_kept(value.get("image_url")),
        b64_json=_string(value.get("b64_json")),
        url=_string(value.get("url")),
        title=_string(value.get("title")),
    )


def _kept(value: object) -> Raw | None:
    """Return what stands beside the answer as JSON, for whoever reads it."""
    return Raw(to_json(value)) if isinstance(value, dict | list) and value else None


def _thoughts(value: object) -> str | None:
    """Return thoughts as text; lists of texts or of parts are joined, anything else is passed over."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(filter(None, map(_thoughts, value)))
    if isinstance(value, dict):
        return _string(value.get("text")) or _string(value.get("thinking")) or _string(value.get("content"))
    return None


def _tool_calls(value: object) -> list[ChatToolCall] | None:
    if isinstance(value, dict) and ("function" in value or "custom" in value or "name" in value):
        value = [value]
    elif isinstance(value, dict) and value and all(isinstance(entry, dict) for entry in value.values()):
        value = list(value.values())  # a list as PHP writes it, by index
    if isinstance(value, list):
        return [_tool_call(entry) for entry in value if entry is not None]
    if value in _NOTHING or value == {}:
        return None
    raise _wrong("tool_calls", value)


def _tool_call(value: object) -> ChatToolCall:
    if not isinstance(value, dict):
        raise _wrong("tool_calls", value)
    function, custom = value.get("function"), value.get("custom")
    if function not in _NOTHING and not isinstance(function, dict):
        raise _wrong("function", function)
    if custom not in _NOTHING and not isinstance(custom, dict):
        raise _wrong("custom", custom)
    id = value.get("id")
    return ChatToolCall(
        index=integer(value.get("index")),
        id=str(id) if isinstance(id, int) and not isinstance(id, bool) else _string(id),
        function=_function(function) if isinstance(function, dict) else None,
        custom=ChatCustom(_name(custom.get("name")), _input(custom.get("input"))) if isinstance(custom, dict) else None,
        name=_string(value.get("name")),
        arguments=_flat(value.get("arguments")),
        **{name: _raw(value.get(name)) for name in OF_CALLS},
    )


def _flat(value: object) -> str | dict[str, Any] | None:
    """Return arguments that stand beside a function; where there is one, they are a side field of any type."""
    return value if isinstance(value, str | dict) else None


def _function(value: dict[str, Any]) -> ChatFunction:
    arguments = value.get("arguments")
    if arguments == [] or arguments is False:
        arguments = None  # an empty object, as PHP writes it
    if arguments is not None and not isinstance(arguments, str | dict):
        raise _wrong("arguments", arguments)
    return ChatFunction(_name(value.get("name")), arguments)


def _name(value: object) -> str | None:
    if value is None or value is False or isinstance(value, str):
        return value or None
    raise _wrong("name", value)


def _input(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _wrong("input", value)


def _usage(value: object) -> ChatUsage | None:
    if not isinstance(value, dict) or not value:
        return None
    prompt, completion = value.get("prompt_tokens_details"), value.get("completion_tokens_details")
    return ChatUsage(
        prompt_tokens=integer(value.get("prompt_tokens")),
        completion_tokens=integer(value.get("completion_tokens")),
        total_tokens=integer(value.get("total_tokens")),
        prompt_tokens_details=PromptDetails(
            integer(prompt.get("cached_tokens")), integer(prompt.get("cache_write_tokens"))
        )
        if isinstance(prompt, dict)
        else None,
        completion_tokens_details=CompletionDetails(integer(completion.get("reasoning_tokens")))
        if isinstance(completion, dict)
        else None,
        prompt_cache_hit_tokens=integer(value.get("prompt_cache_hit_tokens")),
        cached_tokens=integer(value.get("cached_tokens")),
        cache_read_input_tokens=integer(value.get("cache_read_input_tokens")),
        cache_creation_input_tokens=integer(value.get("cache_creation_input_tokens")),
        reasoning_tokens=integer(value.get("reasoning_tokens")),
    )


def _raw(value: object) -> Raw | None:
    return Raw(to_json(value)) if value not in _NOTHING else None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def arguments_text(arguments: str | dict[str, Any] | None) -> str:
    """Return a call's arguments as text: some servers send an object."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return to_json(arguments).decode()
