"""The operator's view: usage as a chart and a table, budgets, keys, models, the audit log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.access.caller import ADMIN
from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig, ModelConfig, OwnerConfig
from tests.page.browser import Page
from tests.page.conftest import Open
from tests.server.serving import serving
from tests.server.whole import Client

PARTS = ("usage", "budgets", "keys", "models", "audit")


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    config = Config(
        store="memory",
        shutdown_grace=1.0,
        backends={"scripted": BackendConfig(url="http://127.0.0.1:9", api="scripted")},
        models={"dear": ModelConfig(name="scripted", price_input=1000.0, price_output=2000.0)},
        keys={
            "op": KeyConfig(key="key-op", scopes=[ADMIN]),
            "ann": KeyConfig(key="key-ann", owner="ann", limits=["4 requests/day"]),
            "bob": KeyConfig(key="key-bob", owner="bob"),
        },
        owners={"bob": OwnerConfig(limits=["10 requests/month soft"])},
    )
    with serving(app.build(config), config) as served:
        for key, number in (("key-ann", 4), ("key-bob", 2)):
            for _ in range(number):
                Client(served.url, key).create(model="dear", input="Say hello.")
        yield Client(served.url, "key-op")


def go(page: Page, part: str) -> None:
    page.js(f"location.hash = 'operator/{part}'")
    page.wait("document.querySelector('#operator .plain-sheet')?.checkVisibility()")


@pytest.fixture
def operator(page: Page) -> Page:
    page.js("sessionStorage.setItem('antiphon-key', 'key-op')")
    page.reload()
    forgive(page)
    return page


def forgive(page: Page) -> None:
    """Forget what the browser says of answers with an error: they are meant."""
    page.js("1")
    assert all("Failed to load resource" in problem for problem in page.problems)
    page.problems.clear()


def test_usage_is_a_chart_and_a_table(operator: Page, tmp_path: Path) -> None:
    go(operator, "usage")
    operator.wait("document.querySelectorAll('#operator .chart rect').length === 2")
    operator.screenshot(tmp_path / "usage.png")
    assert (tmp_path / "usage.png").stat().st_size > 10_000
    rows = operator.text("#operator .plain-sheet tbody")
    assert "ann" in rows and "bob" in rows
    assert "table" in operator.js("document.querySelector('.chart').getAttribute('aria-label')")
    operator.js("(select => { select.value = 'model'; select.onchange() })(document.querySelector('#usage-by'))")
    operator.wait("document.querySelector('#operator .plain-sheet tbody').innerText.includes('dear')")


def test_a_chart_on_a_phone_is_as_wide_as_it_is_and_its_words_are_read(operator: Page) -> None:
    operator.look(390, 800)
    go(operator, "usage")
    operator.wait("document.querySelector('#operator .chart')")
    drawn, wide = operator.js(
        "[document.querySelector('.chart').viewBox.baseVal.width, document.querySelector('.chart').clientWidth]"
    )
    assert drawn == wide <= 390  # not made smaller: 11 pixels of a letter are 11


def test_a_key_is_made_shown_once_and_revoked(operator: Page, server: Client) -> None:
    operator.js("location.hash = 'operator/keys'")
    operator.wait("document.querySelector('#key-form')")
    operator.js("document.querySelector('#operator details').open = true")
    operator.type("#key-name", "<b>laptop</b>")
    operator.type("#key-limits", "60 nothing")
    operator.click("#key-add")
    operator.wait("document.querySelector('#key-form .problem').innerText.includes('limits')")
    forgive(operator)
    operator.type("#key-limits", "60 requests/min, 4 streams")
    operator.click("#key-add")
    operator.wait("document.querySelector('#new-secret')")
    secret = operator.text("#new-secret")
    assert Client(server.url, secret).get("/v1/models")[0] == 200
    assert "<b>laptop</b>" in operator.text("#operator .plain-sheet") and "4 streams" in operator.text("#operator")
    for _ in range(2):
        operator.click("#operator .danger")
    operator.wait("document.querySelector('#operator .revoked')")
    assert secret not in operator.text("#operator")
    deadline = time.monotonic() + 20
    while Client(server.url, secret).get("/v1/models")[0] != 401:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("part", "shown"),
    [("budgets", "4 requests/day"), ("models", "http://127.0.0.1:9"), ("audit", "admin.read")],
)
def test_other_parts_show_what_there_is(operator: Page, part: str, shown: str) -> None:
    go(operator, part)
    assert shown in operator.text("#operator")


def test_without_the_scope_it_says_so(visit: Open, server: Client) -> None:
    page = visit(server)
    page.js("location.hash = 'operator'")
    page.wait("document.querySelector('#operator').innerText.includes('scope admin')")
    forgive(page)


@pytest.mark.parametrize(
    ("width", "dark"), [(1440, False), (1440, True), (400, False)], ids=["light", "dark", "narrow"]
)
def test_axe_finds_nothing_serious(operator: Page, axe: str, width: int, dark: bool) -> None:
    operator.look(width, dark=dark)
    operator.js(axe + "; 1")
    for part in PARTS:
        if part == "keys":
            operator.js("location.hash = 'operator/keys'")
            operator.wait("document.querySelector('#key-form')")
        else:
            go(operator, part)
        found = operator.js("axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)")
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert not serious, f"{part}\n" + "\n".join(
            node["html"][:200] + node["failureSummary"] for one in serious for node in one["nodes"]
        )
        assert operator.js("document.documentElement.scrollWidth <= innerWidth"), part
