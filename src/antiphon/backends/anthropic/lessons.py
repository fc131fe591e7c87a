"""What a refusal of the Messages API says of the request: which field, or which way to think, the model does not take.

A table of rules, each a function of the words and of what was sent; the first one that finds something counts. Where none
does, the words mean what they mean in chat completions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.anthropic.codec import CACHE, METADATA, STRICT
from antiphon.backends.anthropic.thinking import DISABLED, DISPLAY, EFFORT
from antiphon.backends.learning.adaptations import Adaptation
from antiphon.backends.learning.efforts import EFFORTS, weakest_first
from antiphon.backends.learning.refusal_words import LONGEST, Lesson, RefusedRequest, lesson
from antiphon.errors import BackendError

_SIGNATURE = re.compile(r"signature|thinking` blocks|thinking blocks? .{0,80}(?:modified|remain)", re.IGNORECASE)
_MISSING = re.compile(r"expected `?thinking`?|must start with a thinking block", re.IGNORECASE)
_FORCED = re.compile(r"tool_choice (?:forces|that forces)|thinking may not be enabled when", re.IGNORECASE)
_THINKING = re.compile(r"\bthinking\b|budget_tokens", re.IGNORECASE)
_EFFORT = re.compile(r"\beffort\b", re.IGNORECASE)
_FORMAT = re.compile(r"output_config\.format|output_format|structured outputs?", re.IGNORECASE)
_CONFIG = re.compile(r"output_config", re.IGNORECASE)
_CACHE = re.compile(r"cache_control|\bttl\b", re.IGNORECASE)
_METADATA = re.compile(r"\bmetadata\b|user_id", re.IGNORECASE)
_ROLE = re.compile(r"\brole\b.{0,80}(?:system|'user' or 'assistant')|unexpected role", re.IGNORECASE)
_ONE_OF_BOTH = re.compile(r"temperature.{0,20}(?:and|or).{0,4}top_p", re.IGNORECASE)

_STRICT = re.compile(r"\bstrict\b")
_WORDS = re.compile(r"[a-z]{2,12}")

_any = msgspec.json.Decoder(Any)


def _object(refusal: RefusedRequest, name: str) -> Mapping[str, Any]:
    value = refusal.value(name)
    return value if isinstance(value, dict) else {}


def _history(refusal: RefusedRequest) -> Lesson | None:
    """Blocks of thoughts that the model does not know for its own, or misses, are a matter of one history."""
    if _SIGNATURE.search(refusal.words) and b'"type":"thinking"' in bytes(refusal.sent.get("messages", b"")):
        return Lesson(Adaptation(reasoning_out="none"), lasting=False)
    if "thinking" in refusal.sent and (_MISSING.search(refusal.words) or _FORCED.search(refusal.words)):
        return Lesson(Adaptation(thinking="off"), lasting=False)
    return None


def _thinking(refusal: RefusedRequest) -> Lesson | None:
    """Another way to think, or none."""
    asked = _object(refusal, "thinking")
    words = refusal.words.lower()
    if not asked or not _THINKING.search(words) or not refusal.complains:
        return None
    if "display" in asked and "display" in words:
        return Lesson(Adaptation(drop=(DISPLAY,)))
    kind = asked.get("type")
    if kind == "disabled":
        return Lesson(Adaptation(drop=(DISABLED,)))
    if kind == "enabled" and "adaptive" in words:
        return Lesson(Adaptation(thinking="adaptive"))
    if kind == "adaptive" and ("adaptive" in words or "budget" in words):
        return Lesson(Adaptation(thinking="budget"))
    return Lesson(Adaptation(thinking="off"))


def _output_config(refusal: RefusedRequest) -> Lesson | None:
    """An effort or a format that the model does not take; a server that does not know the field takes neither."""
    config = _object(refusal, "output_config")
    words = refusal.words
    if not config or not refusal.complains:
        return None
    if "format" in config and _FORMAT.search(words) and "schema" not in words.lower():
        return Lesson(Adaptation(response_format="none"))
    asked = config.get("effort")
    if asked and _EFFORT.search(words):
        takes = weakest_first(set(_WORDS.findall(words.lower())) & EFFORTS - {asked})
        return Lesson(Adaptation(efforts=takes)) if takes else Lesson(Adaptation(drop=(EFFORT,)))
    if _CONFIG.search(words) and refusal.unsupported:
        drop = (EFFORT,) if asked else ()
        return Lesson(Adaptation(drop=drop, response_format="none" if "format" in config else ""))
    return None


def _marks(refusal: RefusedRequest) -> Lesson | None:
    """Fields inside of blocks and tools."""
    if not refusal.complains:
        return None
    sent = b"".join(bytes(refusal.sent.get(name, b"")) for name in ("tools", "system", "messages"))
    if _CACHE.search(refusal.words) and b'"cache_control"' in sent:
        return Lesson(Adaptation(drop=(CACHE,)))
    if _STRICT.search(refusal.words) and b'"strict":true' in bytes(refusal.sent.get("tools", b"")):
        return Lesson(Adaptation(drop=(STRICT,)))
    if _METADATA.search(refusal.words) and "metadata" in refusal.sent:
        return Lesson(Adaptation(drop=(METADATA,)))
    if _ROLE.search(refusal.words) and b'{"role":"system"' in bytes(refusal.sent.get("messages", b"")):
        return Lesson(Adaptation(roles="user"))
    return None


def _sampling(refusal: RefusedRequest) -> Lesson | None:
    """Newer models take temperature or top_p, not both."""
    if _ONE_OF_BOTH.search(refusal.words) and {"temperature", "top_p"} <= refusal.sent.keys():
        return Lesson(Adaptation(drop=("top_p",)))
    return None


RULES = (_history, _thinking, _output_config, _marks, _sampling)


def messages_lesson(error: BackendError, sent: Mapping[str, Raw], changed: Adaptation) -> Lesson | None:
    """Return what a refusal teaches of the request that had the fields `sent`; None where that is nothing."""
    if error.status != 400 or error.code == "context_length_exceeded":
        return lesson(error, sent, changed)
    refusal = RefusedRequest(error.message[:LONGEST], error.param or "", sent, changed)
    try:
        found = next(filter(None, (rule(refusal) for rule in RULES)), None)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found or lesson(error, sent, changed)
