"""A server with an MCP server beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.background import Tools, running
from tests.server.remote_tools.model import model
from tests.server.whole import Client, whole_server


@pytest.fixture(scope="module")
def tools() -> Iterator[str]:
    with running(Tools) as url:
        yield url + "/mcp"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with model() as url, whole_server(url, url_guard_allow=["127.0.0.0/8"], mcp_timeout=30.0) as client:
        yield client
