"""What the words of a refusal say of a request's shape: order of roles, form of call ids, schemas of tools.

A table of patterns; the first one that is found counts. Templates, servers and gateways say these words in all of the same
models, so they are looked for whatever the status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

import msgspec
from msgspec import Raw

from antiphon.backends.learning.adaptations import Adaptation


class _Message(msgspec.Struct):
    role: str = ""


_messages = msgspec.json.Decoder(list[_Message])

_SHAPES: tuple[tuple[re.Pattern[str], Adaptation], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), learned)
    for pattern, learned in (
        (
            r"system role (?:is )?not supported|developer instruction is not enabled|only user and assistant roles"
            r"|not support .system. with|(?:not support|no support for) (?:the )?system (?:role|message|prompt|instruction)",
            Adaptation(roles="user"),
        ),
        (
            r"system messages? (?:must|should|can|may|has to|have to|is|are)[^.]{0,40}(?:beginning|first|start)"
            r"|(?:only one|a single|multiple) system messages?|unexpected role .?system",
            Adaptation(roles="merge-first"),
        ),
        (
            r"roles must alternate|must alternate between|unexpected role .?(?:user|assistant|tool)"
            r"|expected last role|message_order|(?:conversation|messages?) must (?:end|start|begin) with a user"
            r"|first message must[^.]{0,20}user|last message (?:must|should)[^.]{0,40}(?:user|tool)",
            Adaptation(roles="alternate"),
        ),
        (r"tool call id [^.]{0,120}length of 9|must be a-z, A-Z, 0-9", Adaptation(call_ids="short")),
        (
            r"(?:tool_use\.id|tool_?calls?\[?\d{0,4}\]?\.id|tool_call_id|tooluseid|tool_use_id)"
            r"[^\n]{0,120}(?:pattern|too long|invalid|at most)",
            Adaptation(call_ids="plain"),
        ),
        (r"moonshot flavored json schema", Adaptation(strict_schema="moonshot")),
        (r"function_?declarations", Adaptation(strict_schema="gemini")),
        (
            r"(?:oneOf|anyOf|allOf)[^\n]{0,60}top[- ]level|schema must have type .object"
            r"|schema must be a JSON Schema of .type|object schema missing properties",
            Adaptation(strict_schema="openai"),
        ),
    )
)

_KEYWORD = re.compile(
    r"\$(?:schema|ref|defs|id)\b|\b(?:oneOf|anyOf|allOf|additionalProperties|patternProperties|propertyNames|exclusiveM(?:in|ax)imum"
    r"|prefixItems|minLength|maxLength|minItems|maxItems|uniqueItems|multipleOf|const)\b"
)
_UNSUPPORTED = re.compile(
    r"not (?:supported|permitted|allowed)|n't support|unsupported|unknown|unrecogni[sz]ed|unexpected", re.IGNORECASE
)
_NARROWEST = Adaptation(strict_schema="gemini")
"""What is left where the words name a keyword of JSON Schema, and no subset of a provider's own."""


def shape(words: str, sent: Mapping[str, Raw]) -> Adaptation | None:
    """Return what a refusal with these words teaches of the shape of the request that had the fields `sent`."""
    if "messages" not in sent:
        return None
    for pattern, learned in _SHAPES:
        if (learned.strict_schema == "" or "tools" in sent) and pattern.search(words):
            return Adaptation(roles="user") if learned.roles and _alternates(sent["messages"]) else learned
    return None


def narrower(words: str, sent: Mapping[str, Raw]) -> Adaptation | None:
    """Return the narrowest subset of schemas for a refusal whose words name a keyword of JSON Schema."""
    if "tools" not in sent or "response_format" in words or not _UNSUPPORTED.search(words):
        return None
    return _NARROWEST if _KEYWORD.search(words) else None


def _alternates(messages: Raw) -> bool:
    """Tell whether user and assistant take turns behind one system message: then that is what is refused."""
    roles = [message.role for message in _messages.decode(messages)]
    if not roles or roles[0] != "system":
        return False
    followed = pairwise(roles)
    turns = [role for before, role in followed if role != "tool" and (before, role) != ("tool", "assistant")]
    takes_turns = all({before, after} == {"user", "assistant"} for before, after in pairwise(turns))
    return takes_turns and turns[:1] == ["user"] and roles[-1] in ("user", "tool")
