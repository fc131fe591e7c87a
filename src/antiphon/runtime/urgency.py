"""Urgency: work that nobody waits for lets others go first."""

from __future__ import annotations

from contextvars import ContextVar

PATIENT: ContextVar[bool] = ContextVar("antiphon_patient", default=False)
"""Whether the task at hand, and what it starts, comes after requests whose clients wait."""
