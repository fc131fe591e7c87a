"""Turn → the body of a chat completions request. What comes back is read by `ChatDecoder`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw

from antiphon.backends.chat.answer_text import TextPolicy, open_sink
from antiphon.backends.chat.decoder import ChatDecoder
from antiphon.backends.chat.emulation import Emulation, Unusable, calls_of, constraint, declared_size, is_long
from antiphon.backends.chat.frames import ChatCall, Frame, Frames, frame_key
from antiphon.backends.chat.messages import Messages
from antiphon.backends.chat.offered_tools import chat_tools
from antiphon.backends.chat.opaque.fields import Origin
from antiphon.backends.chat.opaque.gathering import Gatherer
from antiphon.backends.chat.opaque.sending import Carried
from antiphon.backends.chat.profiles import PROFILES, Policies, Profile, ThinkPolicy, suited
from antiphon.backends.chat.tool_calls import Calls
from antiphon.backends.learning.chat_wishes import OFF, add_effort, drop
from antiphon.backends.learning.refusal_words import KEYWORD
from antiphon.core.json_encoding import to_json
from antiphon.core.text.leaks import NO_FAMILIES, Families
from antiphon.core.text.pieces import joined
from antiphon.core.tools.choices import OfferChoice, choose
from antiphon.core.tools.schema_subsets import Subset
from antiphon.core.tools.schemas import HEAVY, format_schema
from antiphon.core.tools.tool_map import ToolMap
from antiphon.core.turn import TEMPLATE_FIELDS, Turn, all_instructions, continues, merged_objects, no_prefill
from antiphon.runtime.offload import LARGE
from antiphon.types.request import PromptCacheOptions, TextFormat

__all__ = ["ChatCall", "ChatDecoder", "CodecOptions", "decoder", "request"]

_any = msgspec.json.Decoder(Any)

MOST_FITTED = 32 * 1024  # bytes of schemas that are brought into a subset on the event loop
LOGPROBS = "message.output_text.logprobs"
CACHE_OPTIONS = "prompt_cache_options"

_OWN = {
    name: to_json(name) + b":"
    for name in "model messages tools tool_choice temperature top_p max_tokens stream stream_options".split()
}


class CodecOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is spoken to: the server's profile, and the model's own settings; `leaks` come on top of the profile's,
    `own_leaks` are the families of the configuration.

    `need_reason`: an answer without a `finish_reason` was broken off; False for servers that never send one.
    `learned_think`: what answers have told of that: `opened` by a template that is told to think, `unsure` by any.
    `window`: the model's context window, `most_output` its longest answer, in tokens; 0 where they are not known. `refuse`:
    a wish that the model cannot honour is a 400. `address`: a digest of the server's. `thoughts_in`: the field in which the
    model gives its thoughts, "" while that is not known.
    """

    profile: Profile = PROFILES["generic"]
    policies: Policies = Policies()
    think: ThinkPolicy = "auto"
    leaks: tuple[str, ...] = ()
    own_leaks: Families = NO_FAMILIES
    need_reason: bool = True
    learned_think: Literal["", "opened", "unsure"] = ""
    window: int = 0
    most_output: int = 0
    refuse: bool = False
    address: str = ""
    thoughts_in: str = ""

    def origin(self, model: str) -> Origin:
        """Return who makes the answers of a model."""
        return Origin(self.profile.kind, self.address, model)


def request(turn: Turn, options: CodecOptions, frames: Frames | None = None) -> tuple[bytes, ChatCall]:
    """Return the body of the request, and what its ChatDecoder has to know. `frames` are those of the backend.

    Raises InvalidRequest for what chat completions cannot say, such as an output without its call.
    """
    key = frame_key(turn, options.profile.forward) if frames is not None else None
    if frames is None or key is None:
        body, call, _ = _request(turn, options)
        return body.render(), call
    frame = frames.find(key, options)
    if frame is not None:
        messages = Messages(frame.call.tools, frame.profile, turn.senses, frame.carried, turn.encoded)
        messages.add(turn.instructions, turn.items)
        return joined([frame.head, *messages.pieces(), frame.tail]), frame.call
    body, call, profile = _request(turn, options)
    frames.keep(key, options, Frame(*body.frame(), profile, _carried(turn, options, profile), call))
    return body.render(), call


def _carried(turn: Turn, options: CodecOptions, profile: Profile) -> Carried:
    return Carried(options.origin(turn.model), turn.opaque, options.thoughts_in or profile.reasoning_out)


def _request(turn: Turn, options: CodecOptions) -> tuple[_Body, ChatCall, Profile]:
    """Return the fields of a request, what its ChatDecoder has to know, and how the model is spoken to."""
    profile = suited(options.profile, options.policies, turn.model)
    strict = profile.strict and "strict" not in profile.drop
    tools = ToolMap(turn.tools, turn.items, turn.server_tools, strict=strict)
    choice = choose(turn.tool_choice, tools, turn.tools)
    try:
        emulation = _emulate(turn, choice, tools, profile)
    except Unusable as unusable:
        raise unusable.error(turn.tools) from None
    carried = _carried(turn, options, profile)
    messages = Messages(tools, profile, turn.senses, carried, turn.encoded)
    messages.add(all_instructions(turn), turn.items)
    body = _Body()
    body.add("model", to_json(turn.model))
    _add_tools(body, turn, tools, choice, emulation, profile)
    _add_format(body, turn, emulation, profile, messages)
    if continues(turn):
        _add_prefill(body, profile, messages)
    body.add_messages(messages.pieces())
    ignored = _add_sampling(body, turn, options)
    ignored += add_effort(body.fields, turn.reasoning_effort, profile, refuse=options.refuse)
    thinking = turn.reasoning_effort not in OFF if TEMPLATE_FIELDS in body.fields else None
    if profile.streams(turn.stream):
        body.add("stream", b"true")
        if profile.stream_usage:
            body.add("stream_options", b'{"include_usage":true}')
    ignored += body.extend(turn)
    forced = choice.mode == "required" and bool(tools.offers)
    if profile.drop:
        forced = forced and (emulation is not None or "tool_choice" not in profile.drop)
        ignored += drop(body.fields, profile.drop, choice.mode if emulation is None else "auto")
    think, keep_ids = _think_policy(options, profile, thinking), profile.call_ids == "keep"
    call = ChatCall(tools, emulation, ignored, forced, think, carried.removed, options.origin(turn.model), keep_ids)
    return body, call, profile


def is_slow(turn: Turn, options: CodecOptions) -> bool:
    """Tell whether the request takes more than some milliseconds to write, however small it is."""
    if not turn.tools or is_long(turn):
        return bool(turn.tools)
    most = MOST_FITTED if _fits_schemas(options) else LARGE
    return (most < LARGE or bool(turn.server_tools)) and declared_size(turn) > most


def _fits_schemas(options: CodecOptions) -> bool:
    """Tell whether all schemas are gone through, or may be."""
    heavy = options.profile.strict_schema in HEAVY or options.policies.strict_schema in HEAVY
    return heavy or any(name.startswith(KEYWORD) for name in options.profile.drop)


def decoder(
    turn: Turn, call: ChatCall, options: CodecOptions, call_base: str, learn: Callable[[str, str], None] | None = None
) -> ChatDecoder:
    """Return the reader of the answer. Ids of calls that bring none begin with `call_base`.

    `learn` is told in which field a model's thoughts come.
    """
    tools, profile, emulation = call.tools, options.profile, call.emulation
    leaks = profile.leaks + options.leaks if options.leaks else profile.leaks
    policy = TextPolicy(call.think, leaks, options.own_leaks, turn.tool_choice != "none")
    calls = Calls(tools, call_base, turn.parallel_tool_calls, turn.items, call.keep_ids)
    sink = open_sink(emulation, policy, tools, calls)
    return ChatDecoder(
        calls,
        Gatherer(call.origin, profile.reasoning_out, call.removed, learn),
        sink,
        sink.marks,
        _wants_logprobs(turn),
        None if policy.calls else [],
        bool(policy.calls and leaks and tools.offers) and emulation is None,
        tools=tools,
        policy=policy,
        profile=profile,
        need_reason=options.need_reason,
        forced=call.forced,
        emulated=emulation is not None,
    )


def _think_policy(options: CodecOptions, profile: Profile, thinking: bool | None) -> ThinkPolicy:
    """Return how thoughts are told from the answer.

    Templates that are told to think may open the thoughts themselves. Not all servers then part them from the answer.
    """
    wish = options.think if options.think != "auto" else profile.think
    if thinking is False:
        return "off" if wish == "off" else "auto"
    if wish == "auto" and thinking and profile.effort == "both":
        return "opened" if options.learned_think == "opened" else "unsure"
    if wish == "auto" and options.learned_think == "unsure":
        return "unsure"
    return wish


class _Body:
    """The fields of a request, as JSON."""

    __slots__ = ("_messages", "fields")

    def __init__(self) -> None:
        self.fields: dict[str, bytes] = {}
        self._messages: Sequence[bytes | Raw] = ()

    def add(self, name: str, value: bytes) -> None:
        self.fields[name] = value

    def add_messages(self, pieces: Sequence[bytes | Raw]) -> None:
        """Add the messages, which are most of the body, in pieces that are joined with it."""
        self.fields["messages"] = b""
        self._messages = pieces

    def put(self, name: str, value: object) -> None:
        """Add a value unless it is None."""
        if value is not None and value is not UNSET:
            self.fields[name] = to_json(value)

    def extend(self, turn: Turn) -> tuple[str, ...]:
        """Add the extra fields; return those of the client that are not told.

        They never replace what is set here; of `chat_template_kwargs`, both sides count.
        """
        untold = tuple(name for name in turn.unknown if name in self.fields and name != TEMPLATE_FIELDS)
        for name, value in turn.extra.items():
            if name not in self.fields:
                self.fields[name] = bytes(value)
            elif name == TEMPLATE_FIELDS:
                self.fields[name] = merged_objects(self.fields[name], value, name)
        return untold

    def frame(self) -> tuple[bytes, bytes]:
        """Return what stands before and behind the messages."""
        messages, self._messages = self._messages, ()
        head, name, tail = self.render().partition(_OWN["messages"])
        self._messages = messages
        return head + name, tail

    def render(self) -> bytes:
        """Return the body. Names may be a client's: they are encoded like any other text."""
        pieces: list[bytes | Raw] = []
        for name, value in self.fields.items():
            pieces.append(_OWN.get(name) or to_json(name) + b":")
            if name == "messages":
                pieces += self._messages
            pieces += (value, b",")
        pieces[-1] = b"}"
        return joined([b"{", *pieces])


# Tools


def _emulate(turn: Turn, choice: OfferChoice, tools: ToolMap, profile: Profile) -> Emulation | None:
    """Decide whether the answer has to be constrained, because the server does not obey the choice or the format."""
    if not tools.offers or choice.mode == "none":
        return None
    forced = choice.mode == "required"
    if forced and choice.only is not None:
        fields = constraint(choice.only, profile)
        if fields is not None:
            return Emulation(raw=choice.only.name, fields=fields)
    if forced and profile.forced_calls == "schema" and profile.response_format not in ("json_object", "none"):
        offers = [choice.only] if choice.only is not None else list(tools.offers.values())
        return calls_of(offers)
    if turn.text.format.type != "text" and not profile.format_beside_tools and not forced:
        return calls_of(list(tools.offers.values()), turn.text.format.schema or Raw(b'{"type":"object"}'))
    return None


def _add_tools(
    body: _Body, turn: Turn, tools: ToolMap, choice: OfferChoice, emulation: Emulation | None, profile: Profile
) -> None:
    mode = "none" if emulation is not None else choice.mode
    says_choice = "tool_choice" not in profile.drop
    if not tools.offers or (mode == "none" and emulation is None and not (profile.tool_choice_none and says_choice)):
        return
    body.add("tools", chat_tools(tools.offers.values(), profile.strict_schema))
    if not says_choice:
        pass
    elif mode == "required" and choice.only is not None:
        body.put("tool_choice", {"type": "function", "function": {"name": choice.only.name}})
    elif mode != "auto" and profile.tool_choice_none:
        # `auto` is every server's default, and vLLM refuses the word unless it was started for it.
        body.put("tool_choice", mode)
    if not turn.parallel_tool_calls and profile.parallel_tool_calls:
        body.add("parallel_tool_calls", b"false")


# Format


def _add_format(body: _Body, turn: Turn, emulation: Emulation | None, profile: Profile, messages: Messages) -> None:
    format = turn.text.format
    if emulation is not None:
        for name, value in emulation.fields.items():
            body.add(name, value)
        if emulation.schema is not None and profile.response_format == "object_schema":
            body.add("response_format", _object_schema(emulation.schema))
        elif emulation.schema is not None:
            body.add("response_format", _schema_format("answer", emulation.schema))
        return
    if format.type == "text":
        return
    supported = profile.response_format
    if format.type == "json_schema" and supported in ("all", "json_schema"):
        body.add("response_format", _json_schema(format, profile.strict_schema))
    elif format.type == "json_object" and supported == "json_schema":
        body.add("response_format", _schema_format("object", Raw(b'{"type":"object"}')))
    elif format.type == "json_schema" and supported == "object_schema":
        body.add("response_format", _object_schema(format.schema or Raw(b"{}")))
    elif supported in ("all", "json_object", "object_schema"):
        body.add("response_format", b'{"type":"json_object"}')
    if format.type == "json_schema" and supported in ("json_object", "object_schema", "none"):
        assert format.schema is not None
        messages.note(
            f"Answer with JSON that follows this JSON Schema, and nothing else:\n{bytes(format.schema).decode()}"
        )
    elif format.type == "json_object" and supported == "none":
        messages.note("Answer with a JSON object, and nothing else.")


def _json_schema(format: TextFormat, subset: Subset) -> bytes:
    schema = Raw(format_schema(format.schema, subset)) if format.schema is not None else None
    shape: dict[str, object] = {"name": format.name, "schema": schema}
    if format.strict is not None:
        shape["strict"] = format.strict
    if format.description is not None:
        shape["description"] = format.description
    return b'{"type":"json_schema","json_schema":%b}' % to_json(shape)


def _object_schema(schema: Raw) -> bytes:
    return b'{"type":"json_object","schema":%b}' % bytes(schema)


def _schema_format(name: str, schema: Raw) -> bytes:
    return b'{"type":"json_schema","json_schema":{"name":%b,"schema":%b}}' % (to_json(name), bytes(schema))


# The rest


def _add_sampling(body: _Body, turn: Turn, options: CodecOptions) -> tuple[str, ...]:
    """Add how tokens are chosen; return the wishes that the server does not know."""
    request, profile, most = turn.request, options.profile, turn.max_output_tokens
    body.put("temperature", turn.temperature)
    body.put("top_p", turn.top_p)
    body.put("presence_penalty", request.presence_penalty)
    body.put("frequency_penalty", request.frequency_penalty)
    if (
        most is not None and not 0 < options.window <= most
    ):  # else the window bounds the answer, and vLLM refuses the wish
        body.put(profile.max_tokens, min(most, options.most_output) if options.most_output else most)
    if _wants_logprobs(turn):
        body.add("logprobs", b"true")
        body.put("top_logprobs", request.top_logprobs)
    for name in profile.forward:
        body.put(name, turn.text.verbosity if name == "verbosity" else getattr(request, name))
    ignored = _add_cache_options(body, request.prompt_cache_options, profile) if request.prompt_cache_options else ()
    if turn.options.thinking_budget is not None and profile.thinking_budget and turn.reasoning_effort not in OFF:
        body.put(profile.thinking_budget, turn.options.thinking_budget)
    if turn.options.top_k is None or "top_k" in profile.drop:
        return ignored
    if not profile.top_k:
        return (*ignored, "top_k")
    body.put("top_k", turn.options.top_k)
    return ignored


def _add_cache_options(body: _Body, asked: PromptCacheOptions, profile: Profile) -> tuple[str, ...]:
    """Tell a server of OpenAI's kind how to cache the prompt; return what others are not told."""
    wishes = {name: value for name, value in (("mode", asked.mode), ("ttl", asked.ttl)) if value is not None}
    if wishes and "prompt_cache_retention" in profile.forward:
        body.put(CACHE_OPTIONS, wishes)
        return ()
    return tuple(f"{CACHE_OPTIONS}.{name}" for name in wishes)


def _add_prefill(body: _Body, profile: Profile, messages: Messages) -> None:
    """Have the answer go on where the last message ends. Raises InvalidRequest where the server cannot do that."""
    if not profile.prefill:
        raise no_prefill()
    messages.continue_last(profile.prefill if profile.prefill in ("prefix", "partial") else "")
    if profile.prefill == "continue_final_message":
        body.add("continue_final_message", b"true")
        body.add("add_generation_prompt", b"false")


def _wants_logprobs(turn: Turn) -> bool:
    return bool(turn.request.top_logprobs) or LOGPROBS in (turn.request.include or ())
