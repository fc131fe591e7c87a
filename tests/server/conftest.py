"""Servers for the tests of the HTTP edge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from antiphon.config import Config
from antiphon.server.asgi import AntiphonApp
from tests.server.handlers import make_app
from tests.server.serving import MODES, Served, serving

Serve = Callable[..., Served]


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """How bytes move: straight to the transport, or by plain ASGI."""
    return request.param


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that stop with the test: `serve(app, config=None, mode="direct") -> Served`."""
    with ExitStack() as stack:

        def start(app: AntiphonApp, config: Config | None = None, mode: str = "direct") -> Served:
            return stack.enter_context(serving(app, config, mode))

        yield start


@pytest.fixture(scope="module")
def plain() -> Iterator[Callable[..., Served]]:
    """Servers of the application of `handlers.py` as it is, shared by a module's tests: `plain(mode) -> Served`."""
    running: dict[str, Served] = {}
    with ExitStack() as stack:

        def get(mode: str = "direct") -> Served:
            if mode not in running:
                running[mode] = stack.enter_context(serving(make_app(), mode=mode))
            return running[mode]

        yield get
