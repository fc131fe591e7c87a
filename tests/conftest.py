"""What all tests share."""

from __future__ import annotations

import signal

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background command ignores it, and so would the servers and terminals that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate-golden", action="store_true", help="write the golden transcripts anew, to be read by a person"
    )
    parser.addoption("--screenshots", action="store_true", help="renew the pictures of the page in docs/images")
