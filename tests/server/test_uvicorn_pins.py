"""What the direct protocol uses of uvicorn's insides. If this fails after an update: read uvicorn's changes, adapt, update here.

Until then `http="httptools"` (plain ASGI) in `run.make_server` serves everything, slower.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import textwrap
from collections.abc import Callable

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import Server, ServerState


def test_the_version_is_the_one_that_was_read():
    assert uvicorn.__version__.split(".")[:2] == ["0", "54"]


def test_a_protocol_has_what_is_used():
    config = uvicorn.Config(app=lambda: None, http=HttpToolsProtocol, ws="websockets-sansio", log_config=None)
    state = ServerState()
    loop = asyncio.new_event_loop()
    protocol = HttpToolsProtocol(config, state, {}, loop)
    loop.close()
    assert protocol.connections is state.connections and protocol.tasks is state.tasks
    assert protocol.loop is loop and protocol.server_state is state
    assert protocol.ws_protocol_class is WebSocketsSansIOProtocol
    assert isinstance(protocol.parser, httptools.HttpRequestParser)
    assert state.default_headers == [] and state.total_requests == 0
    assert callable(protocol.handle_websocket_upgrade) and callable(protocol._should_upgrade)


# Digests of the functions that run as they are, or that ours must agree with.
READ: dict[Callable[..., object], str] = {
    HttpToolsProtocol.__init__: "264f2f06759670d4",
    HttpToolsProtocol.connection_made: "ba1915817ccf6c1b",
    HttpToolsProtocol.handle_websocket_upgrade: "f5384e926c8c43c6",
    HttpToolsProtocol._should_upgrade: "ae8ade68aa39944a",
    HttpToolsProtocol._get_upgrade: "a71e9b242ebb5b0f",
    HttpToolsProtocol.pause_writing: "0d1d5ff822175905",
    HttpToolsProtocol.resume_writing: "89f3ffd1fdaf75fc",
    FlowControl.pause_reading: "0c34066c765b8da2",
    FlowControl.resume_reading: "06e36d83841b63db",
    FlowControl.drain: "a9105709156fa00a",
    WebSocketsSansIOProtocol.shutdown: "47ea7a1725b19a87",
    WebSocketsSansIOProtocol.receive: "150d41c7f477225e",
    Server.handle_exit: "b31a1f2364655748",
    Server.shutdown: "9f8a90ed456dcfee",
    Server._wait_tasks_to_complete: "1a1914c408f5b2d6",
}


@pytest.mark.parametrize("function", READ, ids=lambda function: function.__qualname__)
def test_what_was_read_is_unchanged(function):
    source = textwrap.dedent(inspect.getsource(function))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == READ[function]
