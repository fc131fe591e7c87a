"""The table: each row of what people tried, and what tries it again: a function here, tests, or scenarios of real clients."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.acceptance.command import ROOT
from tests.acceptance.people import agents, operators, page, project
from tests.acceptance.people.serve import run

Row = Callable[[Path], str]
"""Tries a row in a folder of its own; returns what was seen. Raises AssertionError where it is not as people expect."""


def tested(*names: str) -> Row:
    """Return a row that tests hold."""

    def row(folder: Path) -> str:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
        done = run([*command, *[str(ROOT / name) for name in names]], ROOT, timeout=1200)
        return f"{' '.join(names)}: {done.stdout.strip().splitlines()[-1]}"

    return row


def played(*names: str) -> Row:
    """Return a row that scenarios of real clients play."""

    def row(folder: Path) -> str:
        done = run([sys.executable, "-m", "tests.clients.run", *names], ROOT, timeout=1200)
        return f"tests/clients: {done.stdout.strip().splitlines()[-1]}"

    return row


ROWS: Mapping[str, Sequence[Row]] = {
    "L12": (operators.l12_the_first_and_the_second_ctrl_c,),
    "A1": (agents.a1_a_model_that_does_not_think, played("codex_launch")),
    "A2": (agents.a2_the_recipe_for_codex,),
    "A3": (agents.a3_the_models_own_window,),
    "A7": (agents.a7_connect_claude, played("claude_launch")),
    "A8": (agents.a8_a_search_that_is_off, page.a8_the_page_tells),
    "A10": (agents.a10_snippets_that_work_when_pasted,),
    "A14": (agents.a14_clients_that_connect_knows,),
    "A15": (agents.a15_what_is_not_offered, played("py_openai_relays")),
    "P1": (operators.p1_what_a_team_spent,),
    "P3": (operators.p3_who_did_what,),
    "P5": (operators.p5_budgets,),
    "P7": (
        operators.p7_behind_a_proxy,
        operators.p7_a_socket_that_cannot_be,
        tested("tests/acceptance/test_listening.py"),
    ),
    "P8": (
        operators.p8_a_backend_with_certificates,
        tested("tests/acceptance/test_outward.py", "tests/net/test_proxies.py"),
    ),
    "P9": (operators.p9_traces,),
    "P18": (project.p18_what_a_security_team_asks_for, tested("tests/test_supply_chain.py")),
    "C3": (project.c3_a_profile_has_its_row, tested("tests/backends/chat/test_profiles.py", "tests/backends/vendors")),
    "C7": (project.c7_the_workflow_is_true,),
    "D9": (page.d9_markdown,),
    "D12": (page.d12_two_calls_at_once,),
    "D14": (page.d14_a_window_of_1000_pixels,),
    "D15": (page.d15_enter_sends,),
    "D17": (page.d17_two_settings_compared,),
    "D19": (page.d19_what_can_be_done_with_a_message,),
    "D20": (page.d20_a_reload_keeps_the_thread,),
    "D23": (page.d23_theme_and_title,),
}
