"""What the direct protocol uses of uvicorn's insides. If this fails after an update: read uvicorn's changes, adapt, update here.

With any other minor version plain ASGI serves everything, slower (`run.protocols`).
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

from antiphon.server.process.run import DIRECT_WITH


def test_the_version_is_the_one_that_was_read():
    assert uvicorn.__version__.startswith(f"{DIRECT_WITH}.")


def test_a_protocol_has_what_is_used():
    config = uvicorn.Config(app=lambda: None, http=HttpToolsProtocol, ws="websockets-sansio", log_config=None)
    state = ServerState()
    loop = asyncio.new_event_loop()
    protocol = HttpToolsProtocol(config, state, {}, loop)
    assert protocol.connections is state.connections and protocol.tasks is state.tasks
    loop.close()
    assert protocol.loop is loop and protocol.server_state is state
    assert protocol.ws_protocol_class is WebSocketsSansIOProtocol
    assert isinstance(protocol.parser, httptools.HttpRequestParser)
    assert state.default_headers == [] and state.total_requests == 0
    assert protocol.config is config and protocol.app_state == {} and callable(protocol._should_upgrade)
    socket = WebSocketsSansIOProtocol(config=config, server_state=state, app_state={}, _loop=loop)
    assert socket.queue.empty() and not socket.handshake_complete and not socket.close_sent


# Digests of the functions that run as they are, or that ours must agree with.
READ: dict[Callable[..., object], str] = {
    HttpToolsProtocol.__init__: "264f2f06759670d4",
    HttpToolsProtocol.connection_made: "ba1915817ccf6c1b",
    HttpToolsProtocol._should_upgrade: "ae8ade68aa39944a",
    HttpToolsProtocol._get_upgrade: "a71e9b242ebb5b0f",
    HttpToolsProtocol.pause_writing: "0d1d5ff822175905",
    HttpToolsProtocol.resume_writing: "89f3ffd1fdaf75fc",
    FlowControl.pause_reading: "0c34066c765b8da2",
    FlowControl.resume_reading: "06e36d83841b63db",
    FlowControl.drain: "a9105709156fa00a",
    WebSocketsSansIOProtocol.connection_made: "453e89b605d1ec7b",
    WebSocketsSansIOProtocol.connection_lost: "44a325646ee17ef3",
    WebSocketsSansIOProtocol.data_received: "0d468d6299c957bb",
    WebSocketsSansIOProtocol.handle_events: "af7f9cc40c90f431",
    WebSocketsSansIOProtocol.handle_connect: "fa2597da918de20a",
    WebSocketsSansIOProtocol.send_receive_event_to_app: "935390da9a9c065f",
    WebSocketsSansIOProtocol.run_asgi: "632f86c7cd771ab9",
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
