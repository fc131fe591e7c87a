"""Keys, their uses and the audit log, put together from the settings."""

from __future__ import annotations

import time

from antiphon.access.audit import SERVER, AuditLog
from antiphon.access.key_uses import KeyUses
from antiphon.access.keys import Keyring
from antiphon.composition.reloading import differences
from antiphon.config import Config
from antiphon.responses.services import new_id_base
from antiphon.server.auth.credentials import StoredKeys, owner_limits
from antiphon.stores.base import Store


class AccessParts:
    """The keys of a store and what is written about them."""

    def __init__(self, store: Store, config: Config) -> None:
        self.audit = AuditLog(store.audit, config.audit, config.audit_days, time.time, new_id_base)
        self.uses = KeyUses(store.keys, time.time)
        self.keyring = Keyring(store.keys, time.time, self.audit, config.default_limits, owner_limits(config))
        self.stored_keys = StoredKeys(self.keyring, time.time, self.uses.used)

    def reloaded(self, old: Config, new: Config) -> None:
        """Take over and note other settings."""
        self.keyring.default_limits = tuple(new.default_limits)
        self.keyring.owners = owner_limits(new)
        self.audit.record_soon("configuration.reloaded", SERVER, "configuration", {"settings": differences(old, new)})

    async def close(self) -> None:
        """Write what waits."""
        await self.uses.close()
        await self.audit.close()
