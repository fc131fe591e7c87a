"""Turn → the body of a Messages request. What comes back is read by `MessagesDecoder`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b

import msgspec
from msgspec import Raw

from antiphon.backends.anthropic.cache_control import NO_CACHE, CachePolicy
from antiphon.backends.anthropic.conversation import AlternatingMessages
from antiphon.backends.anthropic.origin import MessagesOrigin, origin_of
from antiphon.backends.anthropic.thinking import Mode, Thinking, mode_of, thinking
from antiphon.backends.chat.opaque.sending import Carried
from antiphon.backends.learning.adaptations import NOTHING, Adaptation
from antiphon.backends.learning.refusal_words import CLIENTS_NAMES
from antiphon.core.deltas import InputRemoved
from antiphon.core.json_encoding import to_json
from antiphon.core.text.pieces import enclosed, joined
from antiphon.core.tools.choices import OfferChoice, choose
from antiphon.core.tools.offers import Offer
from antiphon.core.tools.schemas import format_schema, parameters
from antiphon.core.tools.tool_map import ToolMap
from antiphon.core.turn import Turn, all_instructions
from antiphon.types.request import prewarms

MAX_TOKENS = 8192
EFFORT = "reasoning.effort"
CACHE, STRICT, METADATA = "cache_control", "strict", "metadata"
"""Names in `drop`, beside those of fields."""

_SILENT = ("presence_penalty", "frequency_penalty", "top_logprobs")
"""Wishes of a request that the API has no word for."""


class MessagesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is spoken to. `mode`: how it thinks, None: by its name. `most_output`: its longest answer in tokens, 0 where
    that is not known; `max_tokens`: what is asked for where a request has no limit. `thoughts`: blocks of thoughts go back.
    """

    mode: Mode | None = None
    efforts: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    keeps_system: bool = False
    cache: CachePolicy = CachePolicy()
    max_tokens: int = MAX_TOKENS
    most_output: int = 0
    formats: bool = True
    thoughts: bool = True
    address: str = ""

    def adapted(self, learned: Adaptation) -> MessagesOptions:
        """Return them with what was learned of the model."""
        if learned is NOTHING:
            return self
        modes: Mapping[str, Mode | None] = {"": self.mode, "adaptive": "adaptive", "budget": "budget", "off": "off"}
        return msgspec.structs.replace(
            self,
            mode=modes[learned.thinking],
            efforts=learned.efforts or self.efforts,
            drop=(*self.drop, *learned.drop),
            keeps_system=self.keeps_system and learned.roles != "user",
            most_output=learned.max_output_tokens or self.most_output,
            formats=self.formats and learned.response_format != "none",
            thoughts=self.thoughts and learned.reasoning_out != "none",
        )

    def longest(self, turn: Turn) -> int:
        """Return how long an answer may be without its thoughts."""
        most = turn.max_output_tokens or self.max_tokens
        return min(most, self.most_output) if self.most_output else most


class MessagesCall(msgspec.Struct, frozen=True):
    """What a request has set up for its answer. `fields` is the request; `ignored` are the client's wishes that it does not have,
    `forced`: the answer must be a call. `removed` are thoughts that are not for this server.
    """

    fields: Mapping[str, bytes]
    tools: ToolMap
    origin: MessagesOrigin
    ignored: tuple[str, ...] = ()
    forced: bool = False
    removed: Sequence[InputRemoved] = ()

    def body(self, more: Mapping[str, bytes] | None = None) -> bytes:
        """Return the request as JSON; `more` replaces its own fields."""
        pieces: list[bytes] = []
        for name, value in {**self.fields, **(more or {})}.items():
            pieces += (to_json(name) + b":", value, b",")
        pieces[-1] = b"}"
        return joined([b"{", *pieces])

    def count_body(self) -> bytes:
        """Return the request that asks for the number of input tokens."""
        names = ("model", "system", "tools", "tool_choice", "messages", "thinking")
        return msgspec.structs.replace(
            self, fields={name: self.fields[name] for name in names if name in self.fields}
        ).body()


def request(turn: Turn, options: MessagesOptions) -> MessagesCall:
    """Return the request. Raises InvalidRequest for what the API cannot say, such as an output without its call."""
    drop = frozenset(options.drop)
    tools = ToolMap(turn.tools, turn.items, turn.server_tools, strict=STRICT not in drop)
    choice = choose(turn.tool_choice, tools, turn.tools)
    forced = choice.mode == "required" and bool(tools.offers) and "tool_choice" not in drop
    carried = Carried(origin_of(options.address, turn.model), turn.opaque)
    conversation = AlternatingMessages(
        tools, carried, turn.senses, keeps_system=options.keeps_system, thoughts=options.thoughts
    )
    conversation.add(all_instructions(turn), turn.items)
    wish, mode = _wish(turn, options, drop), options.mode or mode_of(turn.model)
    if prewarms(turn.request):
        wish = Thinking({}, 1)
    elif wish.on and (forced or (mode == "budget" and not conversation.thinks_at_end)):
        # The API takes neither a forced call with thoughts, nor a call's result where the thoughts before it are missing.
        wish = Thinking({}, options.longest(turn))
    config = _output_config(turn, wish, options, conversation)
    marks = conversation.marks
    cache = NO_CACHE if CACHE in drop else options.cache.asked(turn.request.prompt_cache_options, marks)
    fields: dict[str, bytes] = {"model": to_json(turn.model), "max_tokens": b"%d" % wish.max_tokens}
    system = conversation.system(cache)
    if system:
        fields["system"] = system
    fields |= _tools(turn, tools, choice, forced, conversation.called, NO_CACHE if marks else cache)
    fields["messages"] = conversation.messages(cache)
    fields |= wish.fields
    if config:
        fields["output_config"] = to_json(config)
    ignored = _add_sampling(fields, turn, wish)
    ignored += _add_rest(fields, turn)
    ignored += _dropped(fields, drop, choice.mode)
    ignored += ["prompt_cache_breakpoint"] * (bool(marks) and not cache.on)
    if turn.reasoning_effort is not None and wish.taken != turn.reasoning_effort:
        ignored.append(EFFORT)
    return MessagesCall(
        fields, tools, origin_of(options.address, turn.model), tuple(dict.fromkeys(ignored)), forced, carried.removed
    )


def _wish(turn: Turn, options: MessagesOptions, drop: Collection[str]) -> Thinking:
    most = options.longest(turn)
    limits = [limit for limit in (turn.max_output_tokens, options.most_output) if limit]
    effort = None if "reasoning_effort" in drop else turn.reasoning_effort
    mode = options.mode or mode_of(turn.model)
    return thinking(
        effort,
        mode,
        most,
        limit=min(limits, default=0),
        budget=turn.options.thinking_budget or 0,
        efforts=options.efforts,
        drop=drop,
    )


# Tools


def _tools(
    turn: Turn,
    tools: ToolMap,
    choice: OfferChoice,
    forced: bool,
    called: Collection[str],
    cache: CachePolicy,
) -> dict[str, bytes]:
    offers = list(tools.offers.values())
    if not offers:
        # A history with calls is refused without tools.
        stubs = [b'{"name":%b,"input_schema":{"type":"object"}}' % to_json(name) for name in called]
        return {"tools": enclosed(b"[", stubs, b"]"), "tool_choice": b'{"type":"none"}'} if stubs else {}
    fields = {"tools": enclosed(b"[", cache.marked([_tool(offer) for offer in offers]), b"]")}
    said: dict[str, object] = {"type": "auto"}
    if choice.mode == "none":
        said = {"type": "none"}
    elif forced:
        said = {"type": "tool", "name": choice.only.name} if choice.only is not None else {"type": "any"}
    if not turn.parallel_tool_calls and choice.mode != "none":
        said["disable_parallel_tool_use"] = True
    if said != {"type": "auto"}:
        fields["tool_choice"] = to_json(said)
    return fields


def _tool(offer: Offer) -> bytes:
    """Return an offer as JSON; the same offer keeps it."""
    tool = offer.forms.get("anthropic") if offer.forms is not None else None
    if tool is None:
        tool = b'{"name":%b%b,"input_schema":%b%b}' % (
            to_json(offer.name),
            b',"description":%b' % to_json(offer.description) if offer.description else b"",
            parameters(offer.parameters, "anthropic" if offer.strict else "openai"),
            b',"strict":true' if offer.strict else b"",
        )
        if offer.forms is not None:
            offer.forms["anthropic"] = tool
    return tool


# The rest


def _output_config(
    turn: Turn, wish: Thinking, options: MessagesOptions, conversation: AlternatingMessages
) -> dict[str, object]:
    """Return the effort and the format; a format that the server does not take is asked for in words."""
    config: dict[str, object] = {"effort": wish.effort} if wish.effort else {}
    format = turn.text.format
    if format.type == "json_schema" and format.schema is not None:
        if options.formats:
            config["format"] = {"type": "json_schema", "schema": Raw(format_schema(format.schema, "anthropic"))}
        else:
            conversation.note(
                f"Answer with JSON that follows this JSON Schema, and nothing else:\n{bytes(format.schema).decode()}"
            )
    elif format.type != "text":
        conversation.note("Answer with a JSON object, and nothing else.")
    return config


def _add_sampling(fields: dict[str, bytes], turn: Turn, wish: Thinking) -> list[str]:
    """Add temperature and the like; the API takes none beside thoughts. Returns the wishes that are not told."""
    ignored = [name for name in _SILENT if getattr(turn.request, name)]
    if turn.text.verbosity is not None:
        ignored.append("text.verbosity")
    if turn.temperature is not None:
        fields["temperature"] = to_json(min(turn.temperature, 1.0))
        ignored += ["temperature"] * (turn.temperature > 1)
    if turn.top_p is not None:
        fields["top_p"] = to_json(turn.top_p)
    if turn.options.top_k is not None:
        fields["top_k"] = b"%d" % turn.options.top_k
    stop = [text for text in turn.options.stop if text.strip()]  # blank ones are refused; all are looked for here, too
    if stop:
        fields["stop_sequences"] = to_json(stop)
    if wish.on:
        ignored += [name for name in ("temperature", "top_p", "top_k") if fields.pop(name, None) is not None]
    return ignored


def _add_rest(fields: dict[str, bytes], turn: Turn) -> list[str]:
    """Add whom the request is for, as a digest, and the extra fields, which never replace what is set here.

    Returns those of the client that are not told for that reason.
    """
    fields["stream"] = b"true"
    user = turn.request.safety_identifier or turn.request.user or turn.hints.owner
    if isinstance(user, str) and user:
        digest = blake2b(user.encode("utf-8", "surrogatepass"), digest_size=16, person=b"antiphon.user").hexdigest()
        fields["metadata"] = to_json({"user_id": digest})
    untold = [name for name in turn.unknown if name in fields]
    for name, value in turn.extra.items():
        fields.setdefault(name, bytes(value))
    return untold


def _dropped(fields: dict[str, bytes], drop: Collection[str], mode: str) -> list[str]:
    """Take out fields that the server refuses. Returns the wishes that are not told."""
    needed = ("model", "messages", "max_tokens", "stream")
    gone = [name for name in drop if name not in needed and fields.pop(name, b"")]
    asked = [CLIENTS_NAMES.get(name, name) for name in gone if name != METADATA]
    if "tool_choice" in drop and mode == "required":
        asked.append("tool_choice")
    return [name for name in asked if name]
