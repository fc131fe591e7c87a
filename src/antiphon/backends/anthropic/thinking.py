"""How a model is asked to think: adaptively with an effort, within a budget of tokens, or not at all."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Literal, get_args

import msgspec

from antiphon.backends.learning.efforts import nearest_effort
from antiphon.core.json_encoding import to_json

Mode = Literal["adaptive", "budget", "off"]
MODES: tuple[str, ...] = get_args(Mode)
EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""Values of `output_config.effort`."""

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32000}
LEAST_BUDGET = 1024
LEAST_ANSWER = 1024
"""Tokens that an answer keeps beside the thoughts."""

DISPLAY, DISABLED, EFFORT = "thinking.display", "thinking.disabled", "output_config.effort"
"""Names in `drop`: of what some servers do not take."""

_SHOWN = {"display": "summarized"}

# Families of Claude by the way they think; dates such as 20250514 are no versions. Other models: a budget is what
# compatible servers know.
_ADAPTIVE = re.compile(r"claude-[a-z]{1,12}-(?:4[-.][6-9](?!\d)|[5-9](?!\d)|\d\d(?!\d))")
_NO_THOUGHTS = re.compile(r"claude-(?:3[-.]5|3-[a-z]|2|instant)")


def mode_of(model: str) -> Mode:
    """Return how a model thinks, by its name."""
    if _NO_THOUGHTS.search(model):
        return "off"
    return "adaptive" if _ADAPTIVE.search(model) else "budget"


class Thinking(msgspec.Struct, frozen=True):
    """The wish to think as a request says it: fields and their JSON. `max_tokens` has room for a budget.

    `on`: thoughts come. `taken`: the effort that was told, "" for none.
    """

    fields: dict[str, bytes]
    max_tokens: int
    on: bool = False
    taken: str = ""
    effort: str = ""
    """The value of `output_config.effort`, "" where it is not sent."""


def thinking(
    effort: str | None,
    mode: Mode,
    most: int,
    *,
    limit: int = 0,
    efforts: Sequence[str] = (),
    drop: Collection[str] = (),
) -> Thinking:
    """Return how the wish for an effort is said. Without one nothing is said: the model does what it does by itself.

    `most` is what `max_tokens` would be without it, `limit` what it may be at most; 0: there is no limit.
    """
    if effort is None:
        return Thinking({}, most)
    if effort == "none":
        off = {} if mode == "off" or DISABLED in drop else {"thinking": b'{"type":"disabled"}'}
        return Thinking(off, most, taken="none")
    if mode == "off":
        return Thinking({}, most)
    if mode == "adaptive":
        fields = {"thinking": to_json({"type": "adaptive", **({} if DISPLAY in drop else _SHOWN)})}
        taken = nearest_effort(effort, efforts or EFFORTS)
        return Thinking(fields, most, on=True, taken=taken, effort="" if EFFORT in drop else taken)
    return _within_budget(effort, most, limit, efforts)


def _within_budget(effort: str, most: int, limit: int, efforts: Sequence[str]) -> Thinking:
    """Think within a budget that leaves room for an answer; where there is no room, the model does not think."""
    taken = nearest_effort(effort, efforts) if efforts else effort
    budget = BUDGETS.get(taken, BUDGETS["medium"])
    most = max(most, budget + LEAST_ANSWER)
    if limit:
        most = min(most, limit)
        budget = min(budget, most - LEAST_ANSWER)
    if budget < LEAST_BUDGET:
        return Thinking({}, most)
    said = to_json({"type": "enabled", "budget_tokens": budget})
    return Thinking({"thinking": said}, most, on=True, taken=taken)
