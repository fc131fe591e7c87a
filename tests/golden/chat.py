"""The backend's side of a golden case: chat completions' chunks → Deltas, by the decoder that the server uses."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.backends.chat.codec import CodecOptions, decoder, request
from antiphon.core.context import input_items
from antiphon.core.deltas import Delta
from antiphon.core.request.text_format import resolve_text
from antiphon.core.turn import Turn
from antiphon.errors import BackendError
from antiphon.types.request import CreateResponse
from antiphon.types.tools import Tool

OPTIONS = CodecOptions()


def turn_of(asked: CreateResponse, tools: Sequence[Tool]) -> Turn:
    """Return the Turn of a request without a history."""
    return Turn(
        model="served-name",
        request=asked,
        instructions=asked.instructions,
        items=input_items(asked.input),
        tools=tools,
        tool_choice=asked.tool_choice or "auto",
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        text=resolve_text(asked.text),
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_output_tokens=asked.max_output_tokens,
        reasoning_effort=asked.reasoning.effort if asked.reasoning else None,
        extra={},
    )


def deltas_of_chunks(
    asked: CreateResponse, tools: Sequence[Tool], chunks: Sequence[bytes], options: CodecOptions = OPTIONS
) -> tuple[list[Delta], BackendError | None]:
    """Return all that the decoder makes of the chunks, each of which came by itself, and the error that it ends with."""
    turn = turn_of(asked, tools)
    _, call = request(turn, options)
    reader = decoder(turn, call, options, "call_golden")
    out: list[Delta] = []
    try:
        for chunk in [*chunks, b"[DONE]"]:
            reader.feed([chunk], out)
        reader.finish(out)
    except BackendError as error:
        return out, error
    return out, None
