"""Answers that are passed on as they are: a whole one within bounds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from antiphon.backends.base import whole_body
from antiphon.errors import BackendError
from antiphon.server.api.relayed import WHOLE_LIMIT


class Endless:
    """A backend's answer of so many pieces; counts those that were read."""

    status = 200
    headers: Sequence[tuple[bytes, bytes]] = ()

    def __init__(self, pieces: int) -> None:
        self.left = pieces

    async def read(self) -> bytes:
        self.left -= 1
        return b"x" * 65_536 if self.left >= 0 else b""

    def abort(self) -> None:
        """Do nothing."""


async def test_a_whole_answer_is_read_within_bounds() -> None:
    assert len(await whole_body(Endless(3), WHOLE_LIMIT)) == 3 * 65_536
    endless = Endless(1_000_000)
    with pytest.raises(BackendError) as refused:
        await whole_body(endless, WHOLE_LIMIT)
    assert refused.value.status == 502 and endless.left > 999_000
