"""Sandboxes: which kind of sandbox holds on this machine, found by probes; a spare that is started ahead of its use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence

import msgspec

from antiphon.tools.sandbox.base import BEING_TRIED, Interior, Sandbox, SandboxError, SandboxKind, SandboxLimits
from antiphon.tools.sandbox.endings import run_quietly
from antiphon.tools.sandbox.interior import interiors
from antiphon.tools.sandbox.probes import QUICK, Ground, failing
from antiphon.tools.sandbox.process import SandboxProcess
from antiphon.tools.sandbox.starting import start

log = logging.getLogger("antiphon.tools.sandbox")

SPARE_SECONDS = 600.0  # that a spare is kept for


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of sandbox that holds, and the Python inside."""

    kind: SandboxKind
    interior: Interior
    version: str


class Sandboxes:
    """Starts sandboxes of the first kind that passes its probes. `off`: why there are to be none."""

    def __init__(self, kinds: Sequence[SandboxKind], limits: SandboxLimits, *, python: str = "", off: str = "") -> None:
        self.limits = limits
        self._kinds = kinds
        self._python = python
        self._off = off
        self._found: Found | None = None
        self._looking: asyncio.Task[None] | None = None
        self._spare: asyncio.Task[SandboxProcess] | None = None
        self._forget: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def off(self) -> str:
        """Why there are none; "" where there are, or may turn out to be."""
        return self._off

    @property
    def name(self) -> str:
        """Return the kind that is used."""
        return self._found.kind.name if self._found is not None else ""

    @property
    def condition(self) -> str:
        """Say which sandbox is used, for people."""
        if self._found is not None:
            return f"{self._found.kind.name}, Python {self._found.version}"
        return f"off: {self._off}" if self._off else BEING_TRIED

    def begin(self, told: Callable[[str], object] | None = None) -> None:
        """Begin to look for one; where there is none, `told` is called with the reason. Idempotent."""
        if self._off and told is not None:
            told(self._off)
        elif self._looking is None and not self._off:
            self._looking = asyncio.create_task(self._look())
            if told is not None:
                self._looking.add_done_callback(lambda _: told(self._off) if self._off else None)

    async def find(self) -> Found:
        """Return what is used here, once that is known. Raises SandboxError where nothing can be."""
        self.begin()
        if self._looking is not None:
            await asyncio.shield(self._looking)
        if self._found is None:
            raise SandboxError(self._off)
        return self._found

    async def usable(self) -> str:
        """Say why there are none, once that is known; "" where there are."""
        with contextlib.suppress(SandboxError):
            await self.find()
        return self._off

    async def start(self) -> Sandbox:
        """Return a new sandbox: the spare, where there is one. Raises SandboxError."""
        found = await self.find()
        spare, self._spare = self._spare, None
        if spare is not None:
            with contextlib.suppress(SandboxError):
                ready = await spare
                if ready.alive:
                    return ready
        return await start(found.kind, found.interior, self.limits)

    def warm(self) -> None:
        """Start a spare, where there is none: it is ready once it is needed."""
        if self._found is None or self._closed:
            return
        if self._spare is None or (self._spare.done() and not _usable(self._spare)):
            self._spare = asyncio.create_task(start(self._found.kind, self._found.interior, self.limits))
        if self._forget is not None:
            self._forget.cancel()
        self._forget = asyncio.get_running_loop().call_later(SPARE_SECONDS, self._drop_spare)

    def _drop_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None and not spare.cancel() and _usable(spare):
            spare.result().abandon()

    async def close(self) -> None:
        """End the spare, and the looking."""
        self._closed = True
        if self._forget is not None:
            self._forget.cancel()
        self._drop_spare()
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        reasons = []
        for kind in self._kinds:
            try:
                found, reason = await self._tried(kind)
            except Exception:
                log.exception("sandbox %s: probe failed", kind.name)
                found, reason = None, "trying it failed, as the log says"
            if found is not None:
                self._found = found
                log.info("sandbox: %s with Python %s (%s)", kind.name, found.version, found.interior.python)
                return
            reasons.append(f"{kind.name}: {reason}")
        self._off = "; ".join(reasons) or "there is no kind of sandbox for this system"
        log.info("sandbox: off: %s", self._off)

    async def _tried(self, kind: SandboxKind) -> tuple[Found | None, str]:
        """Try a kind with each Python; return what holds, or why nothing does."""
        reason = await asyncio.to_thread(kind.unusable)
        if reason is not None:
            return None, reason
        user = kind.command(Interior(python="python3"), self.limits, [], 0)
        for one in user.keep:
            os.close(one)
        if user.end:
            await asyncio.to_thread(run_quietly, user.end)
        try:
            candidates = [Interior(python=self._python or "python3")]
            if not user.image:
                candidates = await asyncio.to_thread(lambda: list(interiors(self._python, user.user)))
        except SandboxError as error:
            return None, str(error)
        reason = "there is no Python for it"
        for interior in candidates:
            try:
                sandbox = await start(kind, interior, self.limits)
            except SandboxError as error:
                reason = f"{error} ({interior.python})"
                continue
            try:
                ground = Ground(server=0 if user.own_processes else os.getpid())
                probes = [probe for probe in QUICK if probe.name not in kind.known]
                open_ones = await failing(sandbox, probes, ground, linux=True)
            except SandboxError as error:
                reason = str(error)
                continue
            finally:
                await sandbox.close()
            if not open_ones:
                return Found(kind=kind, interior=interior, version=sandbox.version), ""
            reason = f"it lets through: {', '.join(open_ones)}"
        return None, reason


def _usable(spare: asyncio.Task[SandboxProcess]) -> bool:
    return spare.done() and not spare.cancelled() and spare.exception() is None and spare.result().alive
