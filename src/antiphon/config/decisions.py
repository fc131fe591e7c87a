"""Tables of settings of decisions: `[decisions]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.config.tables import Settings


class CalibrationConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """How probabilities of some models are to be believed; the first table that fits counts. See docs/decisions-api.md."""

    models: Annotated[list[str], Meta(description="Models by id, patterns such as qwen*; empty: all.")] = []
    reading: Annotated[
        Literal["logprobs", "verbalised", "votes", "any"],
        Meta(description="How the probabilities came about: see `fallback` above; `any`: in whatever way."),
    ] = "any"
    temperature: Annotated[
        float, Meta(description="Above 1 probabilities become more even, below 1 more certain.", gt=0, le=100)
    ] = 1.0
    bias: Annotated[
        float,
        Meta(description="Added to the log-odds of the first of two options: of true, of a predicate.", ge=-20, le=20),
    ] = 0.0


class DecisionsConfig(Settings, kw_only=True, forbid_unknown_fields=True):
    """`/v1/decisions` and `/v1/systemone`."""

    fallback: Annotated[
        Literal["verbalised", "votes", "off"],
        Meta(
            description="Where a backend gives no log-probabilities: `verbalised`: the model tells probabilities in words;"
            " `votes`: it answers `samples` times, and answers are counted; `off`: 400."
        ),
    ] = "verbalised"
    samples: Annotated[
        int,
        Meta(
            description="Answers of a question, where there are no log-probabilities; 0: 1 or, of `votes`, 5.",
            ge=0,
            le=50,
        ),
    ] = 0
    concurrent: Annotated[
        int,
        Meta(description="Model calls of an owner's decisions at the same time, in a server process.", ge=1, le=256),
    ] = 16
    timeout: Annotated[
        float, Meta(description="Seconds for all questions of a request; those without an answer fail then.", gt=0)
    ] = 300.0
    native: Annotated[
        list[str],
        Meta(
            description="Models by id, patterns such as gpt-6-luna*, whose backend has /v1/decisions itself and is asked there."
        ),
    ] = []
    calibration: Annotated[dict[str, CalibrationConfig], Meta(description="Calibrations, by a name of yours.")] = {}
