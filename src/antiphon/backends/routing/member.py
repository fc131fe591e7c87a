"""Member: a backend with its models, load, health, queue and circuit breaker."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from time import monotonic

import msgspec

from antiphon.backends.base import Backend, BackendHealth, BackendModel, Loads
from antiphon.backends.learning.adaptations import Adaptable
from antiphon.backends.routing.breaker import Breaker
from antiphon.backends.routing.call_queue import CallQueue, Waiter
from antiphon.backends.routing.shared_slots import SharedSlots, SlotStore
from antiphon.errors import BackendError, ModelUnavailable, OutOfFiles

log = logging.getLogger("antiphon.backends.routing")

AVOID_SECONDS = 5.0


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits, timeouts and circuit breaker of a backend (see `config.BackendConfig`); 0: no limit, no circuit breaker."""

    max_concurrent: int = 0
    max_concurrent_of: str = "process"
    max_waiting: int = 256
    wait_timeout: float = 120.0
    break_after: int = 0
    break_seconds: float = 10.0
    check_interval: float = 60.0
    inline_images: bool = True
    chat_completions: bool = True


class Member:
    """A backend with its load and health. Calls take a slot (`take`, or by way of the `queue`) and give it back."""

    def __init__(self, backend: Backend, discover: bool, policy: Policy | None = None) -> None:
        self.backend = backend
        self.discover = discover
        self.policy = policy or Policy()
        self.models: Sequence[BackendModel] = ()
        self.outstanding = 0
        self.calls = 0
        self.failures = 0
        self.error = ""
        self.complaint = ""
        self.queue = CallQueue()
        self._shared: SharedSlots | None = None
        self.breaker = Breaker(self.policy.break_after, self.policy.break_seconds)
        self.backend_id = opaque_id(backend.name)
        self.check_at = 0.0
        self._avoided_until = 0.0
        self._kinds: dict[type[object], bool] = {}

    def is_of(self, kind: type[object]) -> bool:
        """Tell whether the backend is of a kind. It is found out once: to look for all that a Protocol has is dear."""
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = isinstance(self.backend, kind)
        return known

    @property
    def avoided(self) -> bool:
        """Tell whether others are to be preferred for a moment."""
        return monotonic() < self._avoided_until

    @property
    def has_room(self) -> bool:
        """Tell whether a call may be made without overtaking others."""
        if not self.policy.max_concurrent:
            return True
        return self.outstanding < self.slots and not self.queue

    def share(self, store: SlotStore) -> None:
        """Count calls against `max_concurrent` together with all servers on the store, where the policy says so."""
        if self._shared is None and self.policy.max_concurrent and self.policy.max_concurrent_of == "store":
            self._shared = SharedSlots(
                store,
                self.backend.name,
                self.policy.max_concurrent,
                waits=lambda: bool(self.queue),
                used=lambda: self.outstanding,
                serve=self._serve_next,
            )

    def join(self, waiter: Waiter) -> None:
        """Let a call wait for a slot."""
        self.queue.join(waiter)
        if self._shared is not None:
            self._shared.look()

    @property
    def slots(self) -> int:
        """How many calls may be made at once by this process now; 0: any number."""
        return self._shared.usable if self._shared is not None else self.policy.max_concurrent

    async def close(self) -> None:
        """Close the backend; shared slots are given back."""
        if self._shared is not None:
            await self._shared.close()
        await self.backend.close()

    def take(self) -> None:
        """Take a slot for a call."""
        self.outstanding += 1
        self.calls += 1
        self.breaker.begin()

    def give_back(self) -> None:
        """Give a slot back; the first call of the queue takes it at once."""
        self.outstanding -= 1
        if self.policy.max_concurrent:
            self._serve_next()
            if self._shared is not None:
                self._shared.look()

    def _serve_next(self) -> None:
        """Give a free slot to the call that waits longest."""
        if self.outstanding < self.slots:
            waiter = self.queue.next()
            if waiter is not None:
                self.take()
                waiter.slot.set_result(self)

    def well(self) -> None:
        """Take note that it answered."""
        if self.error:
            log.info("backend %s: reachable again", self.backend.name)
            self.error = ""
        self._avoided_until = 0.0

    def answered(self) -> None:
        """Take note that it accepted a call."""
        if self.breaker.succeeded():
            log.info("backend %s: circuit breaker closed", self.backend.name)
        if self.error:
            self.well()

    def unreachable(self, error: BackendError) -> None:
        """Take note that it could not be asked: for a few seconds others are preferred."""
        if isinstance(error, OutOfFiles):
            return
        if not self.error:
            log.warning("backend %s: %s", self.backend.name, error.message)
        self.error = error.message
        self._avoided_until = monotonic() + AVOID_SECONDS

    def failed(self, error: BackendError) -> None:
        """Take note that a call failed; only what is the backend's own fault counts."""
        if error.status < 500 or isinstance(error, ModelUnavailable | OutOfFiles):
            self.breaker.ended()
            return
        self.failures += 1
        if error.status == 503:
            self.unreachable(error)
        was_broken = self.breaker.broken
        self.breaker.failed(error.status)
        if self.breaker.broken and not was_broken:
            log.warning("backend %s: circuit breaker opened after repeated failures", self.backend.name)

    def health(self) -> BackendHealth:
        """Tell how it does."""
        loading = isinstance(self.backend, Loads) and not self.backend.healthy
        return BackendHealth(
            name=self.backend.name,
            up=not self.error and not self.breaker.dead and not loading,
            loading=loading,
            models=len(self.models),
            outstanding=self.outstanding,
            error=self.error,
            waiting=len(self.queue),
            circuit=self.breaker.state,
            calls=self.calls,
            failures=self.failures,
            slots=self.slots,
            learned=_learned(self.backend),
        )


def _learned(backend: Backend) -> Mapping[str, Mapping[str, object]]:
    if not isinstance(backend, Adaptable):
        return {}
    return {model: learned.settings() for model, learned in backend.learned.items()}


def opaque_id(name: str) -> str:
    """Return the id of a backend that clients send back: it does not reveal the name, and is the same in all replicas."""
    return hashlib.blake2b(name.encode(), digest_size=9, person=b"antiphon.place").hexdigest()
