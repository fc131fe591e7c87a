"""Tool calls that a backend leaks as text: streaming filters that turn them back into calls."""

from antiphon.core.leaks.base import Found, LeakedCall, LeakFilter, open_filters

__all__ = ["Found", "LeakFilter", "LeakedCall", "open_filters"]
