"""Urgency: work that nobody waits for lets others go first."""

from __future__ import annotations

from contextvars import ContextVar

PATIENT: ContextVar[bool] = ContextVar("antiphon_patient", default=False)
"""Whether the task at hand, and what it starts, comes after requests whose clients wait."""

PATIENCE: ContextVar[float] = ContextVar("antiphon_patience", default=0.0)
"""Seconds that a call of the task at hand may wait for a backend; 0: as long as the backend's settings say."""


def be_patient(seconds: float = 0.0) -> None:
    """Let others go first from now on, in the task at hand."""
    PATIENT.set(True)
    PATIENCE.set(seconds)
