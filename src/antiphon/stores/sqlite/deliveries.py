"""Statements about deliveries to webhooks; each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from antiphon.stores.records import Delivery
from antiphon.stores.sqlite.sql import queries

SQL = queries("deliveries")


def insert(connection: Connection, deliveries: Sequence[Delivery]) -> None:
    """Insert deliveries, but for those that wait already."""
    connection.executemany(SQL["insert"], [msgspec.structs.asdict(delivery) for delivery in deliveries])


def next_due(connection: Connection) -> float | None:
    """Return the earliest time that a delivery is due at."""
    due: float | None = connection.execute(SQL["next"]).fetchall()[0][0]
    return due


def claim(connection: Connection, now: float, lease: float) -> Delivery | None:
    """Take what is due longest."""
    for row in connection.execute(SQL["claim"], {"now": now, "again": now + lease}).fetchall():
        id, url, owner, due, attempts, body = row
        return Delivery(id=id, url=url, owner=owner, due=due, attempts=attempts, body=body)
    return None


def postpone(connection: Connection, id: str, url: str, due: float) -> None:
    """Set the time of the next attempt."""
    connection.execute(SQL["postpone"], {"id": id, "url": url, "due": due})


def finish(connection: Connection, id: str, url: str) -> None:
    """Remove a delivery."""
    connection.execute(SQL["finish"], {"id": id, "url": url})
