"""The body of a CreateResponse → Asked: prompt template, unknown fields, tools, format and items."""

from __future__ import annotations

from msgspec.structs import replace

from antiphon.config import Config
from antiphon.core import context
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import decode_request
from antiphon.core.request.item_summary import ONE_TEXT, summary_of
from antiphon.core.request.other_spellings import flat_choice
from antiphon.core.request.text_format import resolve_text
from antiphon.core.request.tool_decoding import check_tool_choice, decode_tools
from antiphon.core.request.validation import decode_fields
from antiphon.errors import InvalidRequest
from antiphon.responses.intake.asked import Asked
from antiphon.responses.intake.history import too_many_items
from antiphon.responses.intake.prompts import Prompts
from antiphon.runtime.offload import LARGE, by_size
from antiphon.types.request import CreateResponse
from antiphon.types.tools import NestedChoice, ToolChoice


class ResponsesDecoder:
    """Decodes requests as OpenAI's Responses API spells them (a RequestDecoder). `needs_input`: an answer needs a question."""

    def __init__(self, prompts: Prompts, config: Config, *, needs_input: bool = True) -> None:
        self._prompts = prompts
        self._config = config
        self._needs_input = needs_input

    async def decode(self, body: bytes, model: str | None = None) -> Asked:
        """Decode a body; a large one off the event loop. Raises APIError with the offending field as `param`."""
        if len(body) < LARGE:  # then no step is worth a detour
            return self._decode(body, model)
        return await by_size(len(body), self._decode, body, model)

    def _decode(self, body: bytes, model: str | None) -> Asked:
        size = len(body)
        body = self._prompts.with_model(body)
        if model is not None:
            body = with_model(body, model)
        unknown = self._config.unknown_fields
        request, extra = decode_request(body, unknown, needs_input=self._needs_input, at_once=True)
        request, prompted = self._prompts.apply(request)
        self._check_counts(request)
        if isinstance(request.tool_choice, ToolChoice):
            request = replace(request, tool_choice=flat_choice(request.tool_choice))
        tools = decode_tools(request.tools)
        check_tool_choice(request.tool_choice, tools)
        items, summary = context.input_items(request.input), ONE_TEXT
        if not isinstance(request.input, str):
            context.check_ids(items)
            summary = summary_of(items)
        text = resolve_text(request.text)
        return Asked(
            request=request,
            items=items,
            tools=tools,
            text=text,
            extra=extra,
            prompted=prompted,
            size=size,
            summary=summary,
        )

    def _check_counts(self, request: CreateResponse) -> None:
        """Refuse lists with too many entries before they are decoded. Raises InvalidRequest."""
        config = self._config
        if isinstance(request.input, list) and len(request.input) > config.max_items:
            raise too_many_items(len(request.input), config.max_items, "input")
        most = config.max_tools
        if request.tools and len(request.tools) > most:
            raise _too_many("tools", most)
        if request.include and len(request.include) > most:
            raise _too_many("include", most)
        choice = request.tool_choice
        if isinstance(choice, ToolChoice):
            for one in (choice, choice.allowed_tools):
                if isinstance(one, ToolChoice | NestedChoice) and isinstance(one.tools, list) and len(one.tools) > most:
                    raise _too_many("tool_choice", most)


def with_model(body: bytes, model: str) -> bytes:
    """Return a body that names a model: its own where it has one."""
    fields = decode_fields(body)
    if "model" in fields and bytes(fields["model"]) != b"null":
        return body
    return to_json({**fields, "model": model})


def _too_many(name: str, most: int) -> InvalidRequest:
    return InvalidRequest(f"Invalid '{name}': must have at most {most} entries.", param=name)
