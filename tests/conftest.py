"""What all tests share: the tiers of `scripts/test`, and what tests need from the machine (`tests/needs.py`)."""

from __future__ import annotations

import gc
import os
import re
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from antiphon.tools.sandbox.pool import Sandboxes
from tests import needs, shares
from tests.quick import be_quick

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background command ignores it, and so would the servers and terminals that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

for name in ("HF_HUB_CACHE", "LLAMA_CACHE"):
    os.environ[name] = "/nonexistent"  # models of this machine's user are no part of a test

be_quick()

# How long an example takes, and how long it takes to make one, is a matter of what else runs on the machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate-golden", action="store_true", help="write the golden transcripts anew, to be read by a person"
    )
    parser.addoption("--share", help="run one share of the test files, as NUMBER/OF: 2/4 (tests/shares.py)")
    parser.addoption("--screenshots", action="store_true", help="renew the pictures of the page in docs/images")


SLOW_MODULE = re.compile(r"^pytestmark = .*pytest\.mark\.slow", re.MULTILINE)


FAST = "not slow"

NOT_OURS = pytest.StashKey[set[Path]]()
"""Files of other shares: `--share`."""


def pytest_configure(config: pytest.Config) -> None:
    """Find the files that are another share's.

    Servers of fast tests look for a sandbox when one is needed, and not when they start: that takes processes.
    """
    config.stash[NOT_OURS] = set()
    if config.option.share is not None:
        try:
            number, of = shares.parsed(config.option.share)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
        config.stash[NOT_OURS] = shares.others(Path(__file__).parent.rglob("test_*.py"), number, of)
    if config.option.markexpr == FAST:
        patch = pytest.MonkeyPatch()
        begin = Sandboxes.begin
        patch.setattr(Sandboxes, "begin", lambda self, told=None: None if told is not None else begin(self))
        config.add_cleanup(patch.undo)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without a look for garbage; what is collected stays to the end, and is never looked at for garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import modules that are slow as a whole for `-m "not slow"`, or another share's: that takes seconds."""
    if collection_path.suffix != ".py":
        return None
    if collection_path in config.stash[NOT_OURS]:
        return True
    if config.option.markexpr == FAST:
        return bool(SLOW_MODULE.search(collection_path.read_text())) or None
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs a part of the machine is not in the fast tier: `-m "not slow"`. Files with slow tests come first.

    So no process of tests has a long one left when the others are done.
    """
    for item in items:
        if needs.needed(item):
            item.add_marker("slow")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in needs.needed(item):
        needs.judge(name, os.environ)
