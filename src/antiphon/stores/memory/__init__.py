"""The store in memory."""

from antiphon.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
