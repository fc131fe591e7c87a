"""What the words of a refusal say of the request: which field the server does not take, or takes with other values.

A table of rules, each a function of the words and of what was sent; the first one that finds something counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Raw

from antiphon.backends.learning.adaptations import NOTHING, Adaptation
from antiphon.backends.learning.efforts import EFFORTS, USUAL, WEAKEST, weakest_first
from antiphon.backends.learning.refused_shapes import narrower, shape
from antiphon.backends.refusals import NO_ACCESS
from antiphon.errors import BackendError

LONGEST = 4000  # characters of a refusal that are looked at

_UNSUPPORTED = re.compile(
    r"not (?:currently |yet |be )?(?:support|allow|permit|accept|implement|available|recogni|enabled)|unsupported|unavailable"
    r"|n't (?:currently )?(?:support|allow|accept)|unknown|unrecogni[sz]ed|unexpected|extra (?:inputs|fields)"
    r"|cannot find field|cannot (?:both )?be (?:set|used|specified)|only the default|invalid (?:parameter|argument|field)"
    r"|incompatible|deprecated|must be omitted|or unset|no endpoints found|(?:may|can) only be (?:set|used)"
    r"|only [\d.]{1,8} is allowed",
    re.IGNORECASE,
)
_WRONG_VALUE = re.compile(
    r"must be|should be|invalid|not a valid|one of|expected|only supports?|requires?|(?:supported|valid|allowed) values",
    re.IGNORECASE,
)
_LISTED = re.compile(
    r"one of|supported (?:string )?values|valid (?:values|levels|options)|allowed values|available (?:values|options)|expected"
    r"|should be|must be|choose|accepts?\b|supports? only|only supports?|valid:",
    re.IGNORECASE,
)
_EXPECTED = re.compile(r"expected one of|supported (?:parameters|fields)|allowed fields|valid fields", re.IGNORECASE)

_ONLY_STREAMS = re.compile(
    r"non-?stream|only supports? (?:the )?stream|stream(?:ing)?[`'\" ]{0,3}(?:must be|is (?:strongly )?(?:required|recommended))"
    r"|requires? (?:the )?stream|enable the stream|set [`'\"]?stream[`'\"]? ?(?:to|=) ?true|stream ?= ?true",
    re.IGNORECASE,
)
_NEVER_STREAMS = re.compile(
    r"stream(?:ing)?[`'\"]?(?: mode| responses?)? (?:is|are) (?:currently )?(?:not|un)|not support (?:the )?stream"
    r"|[`'\"]stream[`'\"] does not support|verified to stream|stream(?:ing)? not supported",
    re.IGNORECASE,
)
_TOOLS_WITH_STREAM = re.compile(r"tools? (?:calls? )?with stream|stream(?:ing)? with tools?", re.IGNORECASE)
_TOKEN_FIELDS = re.compile(
    r"use [`'\"]?(max_completion_tokens|max_tokens)\b|[`'\"]?(max_completion_tokens|max_tokens)[`'\"]? instead"
)
_FORMAT = re.compile(r"response[_ ]?format|json_schema|structured output", re.IGNORECASE)
_BAD_SCHEMA = re.compile(r"invalid schema|schema error|grammar error|invalid_json_schema|in context=", re.IGNORECASE)
_TOOLS_AND_FORMAT = re.compile(
    r"(?:tool|function)[^.]{0,60}(?:response[_ ]?format|response mime type|json mode|structured output)"
    r"|(?:response[_ ]?format|json mode|structured output)[^.]{0,60}(?:tool|function)",
    re.IGNORECASE,
)
_MUST_THINK = re.compile(r"mandatory|cannot be (?:disabled|turned off)|always thinks", re.IGNORECASE)
_CHOICE = re.compile(r"tool[_ ]?choice|forced? (?:tool|function)", re.IGNORECASE)
_EFFORT = re.compile(
    r"reasoning[_. ]?effort|\beffort\b|support (?:reasoning|thinking)|thinking is not|think value"
    r"|(?:thinking|reasoning)[_ ]?level|\blevel\b|reasoning is mandatory",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"chat_template_kwargs|enable_thinking", re.IGNORECASE)
_STRICT = re.compile(r"[`'\".]strict\b|strict mode", re.IGNORECASE)
_SCHEMA = re.compile(r"schema|parameters|function_declarations|keyword", re.IGNORECASE)
_QUOTED = re.compile(r"[`'\"](\$?[A-Za-z]{2,24})[`'\"]")
_NAMED = re.compile(r"(?<![\w$])(\$?[A-Za-z]{2,24})(?!\w)")
KEYWORD = "schema."
"""What the name of a keyword of schemas begins with, in `drop`."""

LOOSENING = frozenset(
    """
    $schema $id $comment $anchor title default examples example format pattern minLength maxLength minimum maximum
    exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems uniqueItems contains minContains maxContains
    minProperties maxProperties propertyNames patternProperties additionalProperties unevaluatedProperties
    unevaluatedItems dependentRequired dependentSchemas contentEncoding contentMediaType contentSchema deprecated
    readOnly writeOnly not if then else strict nullable
    """.split()
)
"""Keywords without which a schema admits more, never less: answers are held against the client's own schema."""

_WORDS = re.compile(r"[a-z_]{2,12}")

_NO_THOUGHTS = re.compile(r"reasoning_content\b.{0,60}(?:must be passed|missing|required)", re.IGNORECASE)
_NO_SIGNATURE = re.compile(r"missing (?:a )?[`'\"]?thought_?signature", re.IGNORECASE)
_THOUGHTS = re.compile(r"\breasoning_content\b")

UNSIGNED = "skip_thought_signature_validator"
"""What Google's servers take for the signature of a call that no model of theirs has made."""

EFFORT_FIELDS = ("reasoning_effort", "reasoning")
TEMPLATE_FIELD = "chat_template_kwargs"

CLIENTS_NAMES = {
    "parallel_tool_calls": "parallel_tool_calls",
    "stream_options": "",
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "top_logprobs": "top_logprobs",
    "logprobs": "top_logprobs",
    "verbosity": "text.verbosity",
    "prompt_cache_key": "prompt_cache_key",
    "prompt_cache_retention": "prompt_cache_retention",
    "prompt_cache_options": "prompt_cache_options",
    "safety_identifier": "safety_identifier",
    "service_tier": "service_tier",
    "metadata": "metadata",
    "user": "user",
}
"""Fields without which a request means much the same, and the request fields that clients know them by, "" for our own."""

_PLAIN = ("temperature", "logprobs")  # words that mean the field wherever they stand
_NAMES = {
    name: re.compile(
        rf"\b{name.replace('_', '_?')}\b"
        if "_" in name or name in _PLAIN
        else rf"(?<!role )[`'\"]{name}[`'\"]|(?:parameter|argument|field|property|supplied):? {name}\b",
        re.IGNORECASE,
    )
    for name in CLIENTS_NAMES
}
_OURS = {"reasoning.effort": "reasoning_effort", "text.format": "response_format", "text.verbosity": "verbosity"}
_any = msgspec.json.Decoder(Any)


class Lesson(msgspec.Struct, frozen=True):
    """What a refusal teaches. `lasting`: it holds for other requests to the model, too."""

    adaptation: Adaptation
    lasting: bool = True


class RefusedRequest(msgspec.Struct, frozen=True):
    """The words of a refusal, the field that the server named apart from them, and the body that it refused.

    `changed` is how the body differed already from what the profile says.
    """

    words: str
    param: str
    sent: Mapping[str, Raw]
    changed: Adaptation

    def value(self, name: str) -> Any:
        """Return a field of the refused request; None where it had none."""
        raw = self.sent.get(name)
        return None if raw is None else _any.decode(raw)

    @property
    def effort(self) -> str:
        """The effort that was asked for, "" where none was."""
        reasoning = self.value("reasoning")
        found = reasoning.get("effort") if isinstance(reasoning, dict) else self.value("reasoning_effort")
        return found if isinstance(found, str) else ""

    @property
    def quotes_effort(self) -> bool:
        """Tell whether the words quote the effort that was asked for: such values are no other field's."""
        asked = self.effort
        return asked in EFFORTS and any(f"{mark}{asked}{mark}" in self.words for mark in "`'\"")

    @property
    def unsupported(self) -> bool:
        """Tell whether the words say that something is not supported at all."""
        return _UNSUPPORTED.search(self.words) is not None

    @property
    def complains(self) -> bool:
        """Tell whether the words say that something is not supported, or has a wrong value."""
        return self.unsupported or _WRONG_VALUE.search(self.words) is not None


def lesson(error: BackendError, sent: Mapping[str, Raw], changed: Adaptation = NOTHING) -> Lesson | None:
    """Return what a refusal teaches of the request that had the fields `sent`; None where that is nothing.

    `changed` is what was learned before of the same request, or of others to the model. A request with values that cannot be
    read, such as a number beyond all bounds in a client's schema, teaches nothing.
    """
    if error.status not in (400, 404, 409, 502) or error.code == "context_length_exceeded":
        return None
    if error.message.startswith(NO_ACCESS):
        return None
    refusal = RefusedRequest(error.message[:LONGEST], _OURS.get(error.param or "", error.param or ""), sent, changed)
    try:
        return next(filter(None, (rule(refusal) for rule in RULES)), None)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _thoughts(refusal: RefusedRequest) -> Lesson | None:
    """What earlier answers must have, or must not: thoughts, and signatures of calls."""
    if _NO_SIGNATURE.search(refusal.words):
        return Lesson(Adaptation(call_signature=UNSIGNED))
    if _NO_THOUGHTS.search(refusal.words):
        return Lesson(Adaptation(needs_reasoning=True))
    named = _THOUGHTS.search(refusal.words)
    if named is None or not refusal.unsupported:
        return None
    sent = b'"%b":' % named[0].encode() in bytes(refusal.sent.get("messages", b""))
    return Lesson(Adaptation(reasoning_out="none")) if sent else None


def _shape(refusal: RefusedRequest) -> Lesson | None:
    learned = shape(refusal.words, refusal.sent)
    return Lesson(learned) if learned is not None else None


def _narrower(refusal: RefusedRequest) -> Lesson | None:
    """The narrowest subset, where a keyword of JSON Schema is refused that cannot be left out by itself."""
    learned = narrower(refusal.words, refusal.sent)
    return Lesson(learned) if learned is not None else None


def _stream(refusal: RefusedRequest) -> Lesson | None:
    if refusal.value("stream") is not True:
        return Lesson(Adaptation(stream="always")) if _ONLY_STREAMS.search(refusal.words) else None
    if _TOOLS_WITH_STREAM.search(refusal.words):
        return Lesson(Adaptation(stream="never"), lasting=False)
    return Lesson(Adaptation(stream="never")) if _NEVER_STREAMS.search(refusal.words) else None


def _token_field(refusal: RefusedRequest) -> Lesson | None:
    found = _TOKEN_FIELDS.search(refusal.words)
    if not found or not {"max_tokens", "max_completion_tokens"} & refusal.sent.keys():
        return None
    completion = "max_completion_tokens" in (found[1], found[2])
    name: Literal["max_tokens", "max_completion_tokens"] = "max_completion_tokens" if completion else "max_tokens"
    return None if name in refusal.sent else Lesson(Adaptation(max_tokens=name))


def _format(refusal: RefusedRequest) -> Lesson | None:
    """A type of format that the server does not know gives way to the next weaker one; the answer is checked all the same."""
    format = refusal.value("response_format")
    named = refusal.param.startswith("response_format") or _FORMAT.search(refusal.words)
    if not isinstance(format, dict) or not named or _BAD_SCHEMA.search(refusal.words) or not refusal.complains:
        return None
    asked = format.get("type")
    if "tools" in refusal.sent and _TOOLS_AND_FORMAT.search(refusal.words):
        return Lesson(Adaptation(response_format="none"), lasting=False)  # beside tools only
    listed = _listed(refusal.words)
    takes = {name for name in ("json_schema", "json_object") if name in listed and name != asked}
    weaker: Literal["json_schema", "json_object", "object_schema", "none"]
    if "json_schema" in takes:
        weaker = "json_schema"
    elif asked == "json_schema":
        # FastAPI's list of types is llama-cpp-python's, which takes the schema beside `json_object`.
        weaker = "object_schema" if takes and "literal_error" in refusal.words else "json_object"
    elif "schema" in format:
        weaker = "json_object"
    else:
        weaker = "none"
    return Lesson(Adaptation(response_format=weaker))


def _tool_choice(refusal: RefusedRequest) -> Lesson | None:
    choice = refusal.value("tool_choice")
    if choice in (None, "none") or not (refusal.param.startswith("tool_choice") or _CHOICE.search(refusal.words)):
        return None
    if isinstance(choice, dict) and "required" in _listed(refusal.words) and not refusal.changed.forced_calls:
        return Lesson(Adaptation(forced_calls="schema"))  # a named tool cannot be said, but any may be forced
    return Lesson(Adaptation(drop=("tool_choice",))) if refusal.complains else None


def _effort(refusal: RefusedRequest) -> Lesson | None:
    named = refusal.param in EFFORT_FIELDS or _EFFORT.search(refusal.words) or refusal.quotes_effort
    if refusal.effort and named and (refusal.complains or _MUST_THINK.search(refusal.words)):
        asked = refusal.effort
        takes = weakest_first(_listed(refusal.words) & EFFORTS)
        if takes and asked not in takes:
            return Lesson(Adaptation(efforts=takes))
        if asked in WEAKEST and _MUST_THINK.search(refusal.words):
            return Lesson(Adaptation(efforts=USUAL))
        others = tuple(effort for effort in refusal.changed.efforts or USUAL if effort != asked)
        if others and asked in EFFORTS and asked in _WORDS.findall(refusal.words.lower()):
            return Lesson(Adaptation(efforts=others))
        # A value that no server knows tells nothing about others.
        return Lesson(Adaptation(drop=("reasoning_effort",)), lasting=asked in EFFORTS)
    if TEMPLATE_FIELD in refusal.sent and refusal.unsupported:
        if _TEMPLATE.search(refusal.words):
            return Lesson(Adaptation(drop=("enable_thinking",)))
        if _EFFORT.search(refusal.words):
            return Lesson(Adaptation(drop=("reasoning_effort",)))
    return None


def _schema(refusal: RefusedRequest) -> Lesson | None:
    """Keywords that the words name are left out."""
    schemas = bytes(refusal.sent.get("tools", b"")) + bytes(refusal.sent.get("response_format", b""))
    if not schemas or not _SCHEMA.search(f"{refusal.param} {refusal.words}") or not refusal.complains:
        return None
    for named in (_QUOTED.findall(refusal.words), _NAMED.findall(refusal.words)):
        keywords = [word for word in dict.fromkeys(named) if word in LOOSENING and b'"%b"' % word.encode() in schemas]
        if keywords:
            return Lesson(Adaptation(drop=tuple(KEYWORD + word for word in keywords)))
    return None


def _strict(refusal: RefusedRequest) -> Lesson | None:
    if "tools" not in refusal.sent or not refusal.unsupported:
        return None
    named = refusal.param.endswith(".strict") or _STRICT.search(refusal.words)
    return Lesson(Adaptation(drop=("strict",))) if named and b'"strict":true' in bytes(refusal.sent["tools"]) else None


def _field(refusal: RefusedRequest) -> Lesson | None:
    """A field is meant that the server names apart, else the first one that its words name."""
    if not refusal.unsupported:
        return None
    words = _EXPECTED.split(refusal.words, maxsplit=1)[0]
    indexes = {
        name: found.start() for name in CLIENTS_NAMES if name in refusal.sent and (found := _NAMES[name].search(words))
    }
    if refusal.param in CLIENTS_NAMES and refusal.param in refusal.sent:
        name = refusal.param
    elif indexes:
        name = min(indexes, key=indexes.__getitem__)
    else:
        return None
    return Lesson(Adaptation(drop=("logprobs", "top_logprobs") if "logprobs" in name else (name,)))


RULES = (_thoughts, _shape, _stream, _token_field, _format, _tool_choice, _effort, _schema, _strict, _narrower, _field)


def _listed(words: str) -> set[str]:
    """Return the words behind those that begin a list of values."""
    found = _LISTED.search(words)
    return set(_WORDS.findall(words, found.end())) if found else set()
