"""Requests that are refused, over HTTP: the status, `param` and `code` of the table, in the one error shape, streamed or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from antiphon.config import ModelConfig
from tests.malformed import REFUSED, Refused
from tests.server.whole import Client, whole_server


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Client]]:
    configured = {"golden": ModelConfig(name="scripted", backends=["upstream"])}
    with (
        whole_server(models=configured) as forward,
        whole_server(models=configured, unknown_fields="reject") as reject,
        whole_server(models=configured, unknown_fields="ignore") as ignore,
    ):
        yield {"forward": forward, "reject": reject, "ignore": ignore}


@pytest.mark.parametrize("row", REFUSED, ids=[row.name for row in REFUSED])
def test_each_is_refused_by_name(servers: dict[str, Client], row: Refused) -> None:
    status, body = servers[row.setting].send("POST", "/v1/responses", row.body)
    assert status == row.status, body
    error = body["error"]
    assert (error["param"], error["code"], error["status"]) == (row.param, row.code, row.status)
    assert body["detail"] == error["message"]
    assert set(error) == {"message", "type", "param", "code", "status"}


def test_the_server_is_well_after_all_of_them(servers: dict[str, Client]) -> None:
    for client in servers.values():
        assert client.create(model="golden", input="Hello.")["status"] == "completed"
