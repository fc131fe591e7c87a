"""Tables of settings of guards: what is looked at in requests and answers, and what is blocked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from antiphon.config.tables import Settings

GuardedPlace = Literal["input", "text", "reasoning", "tool_calls", "tool_results"]

PATTERNS, MODERATION = "patterns", "moderation"
MOST_WORDS, LONGEST_WORD = 10_000, 200
MOST_PATTERNS, LONGEST_PATTERN = 1000, 2000
REFUSAL = "This answer was stopped by a content guard."


class GuardConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """A guard: it looks at requests and answers, and blocks."""

    kind: Annotated[
        str,
        Meta(
            description="Kind of guard: `patterns`: words and regular expressions; `moderation`: a moderation model; or one"
            " that another package adds: see docs/guardrails.md.",
            examples=[PATTERNS, MODERATION],
        ),
    ] = PATTERNS
    words: Annotated[
        list[Annotated[str, Meta(max_length=LONGEST_WORD)]],
        Meta(description="`patterns`: words and phrases, in upper or lower case.", max_length=MOST_WORDS),
    ] = []
    patterns: Annotated[
        list[Annotated[str, Meta(max_length=LONGEST_PATTERN)]],
        Meta(
            description="`patterns`: regular expressions of RE2, which take linear time, such as '\\b\\d{3}-\\d{2}-\\d{4}\\b'.",
            max_length=MOST_PATTERNS,
        ),
    ] = []
    model: Annotated[
        str,
        Meta(
            description="`moderation`: id of a model that judges, as for /v1/moderations: see `[models.NAME.moderation]`."
        ),
    ] = ""
    threshold: Annotated[
        float | None,
        Meta(description="`moderation`: score from which a category is flagged; default: as the model flags it."),
    ] = None
    categories: Annotated[list[str], Meta(description="`moderation`: categories that count; empty: all.")] = []
    looks_at: Annotated[
        list[GuardedPlace],
        Meta(
            description="Where it looks: `input`: requests and their history; `text`: answers and refusals; `reasoning`;"
            " `tool_calls`: arguments; `tool_results`.",
            min_length=1,
        ),
    ] = field(default_factory=lambda: ["input", "text", "reasoning", "tool_calls", "tool_results"])
    mode: Annotated[
        Literal["block", "score"],
        Meta(description="`block`: refuse what is flagged; `score`: only tell it in the response's `moderation`."),
    ] = "block"
    applies: Annotated[
        Literal["always", "asked"],
        Meta(
            description="To which requests: `always`: all; `asked`: those whose `moderation.model` names the guard or its model."
        ),
    ] = "always"
    models: Annotated[list[str], Meta(description="Models that it applies to, such as gpt-*; empty: all.")] = []
    owners: Annotated[
        list[str],
        Meta(description="Owners of keys (`keys.NAME.owner`) that it applies to, such as team-*; empty: all."),
    ] = []
    on_failure: Annotated[
        Literal["block", "pass"],
        Meta(
            description="When the guard itself fails: `block`: the request fails with 503; `pass`: it goes on, told in the log."
        ),
    ] = "block"
    window: Annotated[
        int,
        Meta(
            description="Characters of an answer that are held back: no part of a match that is not longer passes; a model looks"
            " at so many at a time.",
            ge=16,
            le=65_536,
        ),
    ] = 256
    delay: Annotated[
        float,
        Meta(
            description="Seconds after which held text is looked at, though the window is not full; not of `patterns`.",
            gt=0,
        ),
    ] = 1.0
    timeout: Annotated[float, Meta(description="Timeout of one look in seconds; not of `patterns`.", gt=0)] = 10.0
    refusal: Annotated[
        str, Meta(description="The refusal that ends a blocked answer.", min_length=1, max_length=2000)
    ] = REFUSAL
    options: Annotated[dict[str, Any], Meta(description="Settings for a kind that another package adds.")] = {}
