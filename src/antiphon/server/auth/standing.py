"""Standing: who asked some time ago, as their key is now: it may be revoked, or have other limits."""

from __future__ import annotations

from collections.abc import Callable

from antiphon.access.caller import Caller
from antiphon.access.keys import Keyring
from antiphon.config import Config
from antiphon.server.auth.authenticator import invalid
from antiphon.server.auth.credentials import fixed_callers

CONFIGURED, STORED = "config/", "key_"


class Standing:
    """Looks at the keys of configuration and store. Who came with a token stays as they were: the token is not kept."""

    def __init__(self, config: Callable[[], Config], keyring: Keyring) -> None:
        self._config = config
        self._keyring = keyring

    async def now(self, caller: Caller) -> Caller:
        """Return a caller's present rights. Raises APIError 401 where the key is gone."""
        if caller.meter.startswith(STORED):
            return await self._stored(caller)
        if caller.meter.startswith(CONFIGURED):
            fixed = fixed_callers(self._config()).values()
            return _one([one for one in fixed if one.meter == caller.meter and one.owner == caller.owner])
        if not caller.meter and caller.owner.startswith(STORED):  # a key without a name of its own
            fixed = fixed_callers(self._config()).values()
            return _one([one for one in fixed if one.owner == caller.owner and not one.meter])
        return caller

    async def _stored(self, caller: Caller) -> Caller:
        key = await self._keyring.heir(caller.key, caller.meter, caller.owner)
        return _one([] if key is None else [self._keyring.caller(key)])


def _one(found: list[Caller]) -> Caller:
    if not found:
        raise invalid("This API key has been revoked.")
    return found[0]
