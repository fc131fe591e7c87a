"""Which store a setting means."""

from __future__ import annotations

from antiphon.stores.base import Store


def open_store(spec: str) -> Store:
    """Open the store that the setting `store` names: `memory`, or the path of an SQLite file. Raises ConfigError."""
    if spec == "memory":
        from antiphon.stores.memory import MemoryStore

        return MemoryStore()
    from antiphon.stores.sqlite import SQLiteStore

    return SQLiteStore(spec)
