"""Services: dependencies of the engine and the handlers: models, store, clock, randomness, secrets. Passed in, never imported."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

import msgspec

from antiphon.access.limits import Admission, Unlimited
from antiphon.access.tool_limits import ToolAdmission, Unmetered
from antiphon.backends.base import Router
from antiphon.config import Config
from antiphon.core.token_count import Estimator
from antiphon.responses.caching.prompt_memory import PromptMemory
from antiphon.responses.guards.guards import NO_GUARDS, Guards
from antiphon.responses.intake.past_inputs import PastInputs
from antiphon.responses.intake.token_count import TokenCounter
from antiphon.responses.log.captures import Captures
from antiphon.responses.log.entries import Costing
from antiphon.responses.log.leftovers import Leftovers
from antiphon.responses.recall import Recall
from antiphon.responses.sealing import Sealer
from antiphon.runtime.checker.pool import Checker
from antiphon.runtime.request_memory import Rooms
from antiphon.runtime.timer import Pulse
from antiphon.stores.base import Store
from antiphon.telemetry.observers import Observers
from antiphon.tools.base import HostedTools, ToolServers
from antiphon.types.response import Usage

_RANDOM_DIGITS = 33
_random: list[str] = []  # digits in stock: a system call for each id would cost 3 % of a short request
_newest = 0
_SIXTEENTH = 1 << 60
"""A 1 before the 15 digits of the time, so that they all are written."""


def new_id_base() -> str:
    """Return 48 hexadecimal digits: 15 of the time in 1/4096 milliseconds and 33 random ones.

    Ids of one process sort by age, also those of one moment.
    """
    global _newest
    now = time.time_ns() * 4096 // 1_000_000
    _newest = now if now > _newest else _newest + 1
    return hex(_newest | _SIXTEENTH)[3:] + random_digits()  # with `:015x` it would take four times as long


def random_digits() -> str:
    """Return 33 random hexadecimal digits."""
    if not _random:
        fresh = os.urandom(64 * _RANDOM_DIGITS).hex()
        _random.extend([fresh[at : at + _RANDOM_DIGITS] for at in range(0, len(fresh), _RANDOM_DIGITS)])
    return _random.pop()


os.register_at_fork(after_in_child=_random.clear)


def free_of_charge(model: str, usage: Usage) -> float:
    """Return what answers cost where no prices are known."""
    return 0.0


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the engine and the server work with; put together by `app`."""

    config: Config
    router: Router
    store: Store
    sealer: Sealer
    tool_servers: ToolServers
    hosted_tools: HostedTools = msgspec.field(default_factory=dict)
    tools_off: Mapping[str, str] = {}
    estimator: Estimator = msgspec.field(default_factory=Estimator)
    counter: TokenCounter = msgspec.field(default_factory=lambda: TokenCounter(Estimator(), {}))
    checker: Checker = msgspec.field(default_factory=Checker)
    rooms: Rooms = msgspec.field(default_factory=Rooms)
    pulse: Pulse = msgspec.field(default_factory=Pulse)
    recall: Recall = msgspec.field(default_factory=Recall)
    prompts: PromptMemory = msgspec.field(default_factory=PromptMemory)
    inputs: PastInputs = msgspec.field(default_factory=PastInputs)
    observer: Observers = msgspec.field(default_factory=Observers)
    limiter: Admission = msgspec.field(default_factory=Unlimited)
    tool_meters: ToolAdmission = msgspec.field(default_factory=Unmetered)
    guards: Guards = NO_GUARDS
    captures: Captures = msgspec.field(default_factory=Captures)
    leftovers: Leftovers = msgspec.field(default_factory=Leftovers)
    cost: Costing = free_of_charge
    clock: Callable[[], float] = time.time
    new_id_base: Callable[[], str] = new_id_base
