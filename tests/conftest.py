"""What all tests share."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate-golden", action="store_true", help="write the golden transcripts anew, to be read by a person"
    )
    parser.addoption("--screenshots", action="store_true", help="renew the pictures of the page in docs/images")
