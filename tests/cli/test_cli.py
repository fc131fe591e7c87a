"""The command line: help, errors, settings shown."""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from antiphon import __version__
from antiphon.cli import COMMANDS as MODULES
from antiphon.cli import cli
from antiphon.config.docs import page
from tests.bounds import bound
from tests.cli.command import antiphon

COMMANDS = ("serve", "check", "models", "chat", "config", "config show", "version")


def run(folder: Path, *arguments: str, **variables: str) -> Result:
    """Run a command in this process, in a folder of its own."""
    runner = CliRunner(env={"HOME": str(folder), "XDG_DATA_HOME": None, "ANTIPHON_CONFIG": None, **variables})
    with contextlib.chdir(folder):
        return runner.invoke(cli, arguments, prog_name="antiphon")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    result = run(tmp_path, *command.split(), "--help")
    assert result.exit_code == 0
    assert f"Usage: antiphon {command}" in result.stdout


@pytest.mark.slow  # a process
async def test_help_is_quick(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome = await antiphon(tmp_path, "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "antiphon serve --backend" in outcome.out
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < bound(
        0.4
    )  # 0.09 when nothing else runs


@pytest.mark.slow  # a process
async def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    outcome = await antiphon(tmp_path, "--help", PYTHONPROFILEIMPORTTIME="1")
    heavy = ("msgspec", "uvicorn", "asyncio", "ssl", "http.client", "antiphon.config", "antiphon.composition.app")
    imported = {line.rpartition("|")[2].strip() for line in outcome.err.splitlines()}
    assert "click" in imported
    assert not imported & set(heavy)


@pytest.mark.parametrize("command", MODULES)
def test_each_command_is_where_the_table_says(tmp_path: Path, command: str) -> None:
    result = run(tmp_path, command, "--help")
    assert f"Usage: antiphon {command}" in result.stdout


@pytest.mark.slow  # a process
def test_a_command_imports_no_other() -> None:
    look = "import sys; from antiphon.cli import cli; cli.get_command(None, 'config'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    modules = {f"antiphon.cli.{place.rpartition('.')[0]}" for place in MODULES.values()}
    assert modules & set(done.stdout.split()) == {"antiphon.cli.config"}


@pytest.mark.slow  # a process
async def test_of_an_unknown_command_the_nearest_is_named(tmp_path: Path) -> None:
    outcome = await antiphon(tmp_path, "usgae")
    assert "Did you mean 'usage'?" in outcome.err


def test_the_version(tmp_path: Path) -> None:
    assert run(tmp_path, "version").stdout == run(tmp_path, "--version").stdout == f"antiphon {__version__}\n"


@pytest.mark.slow  # a process
@pytest.mark.parametrize("command", ["serve", "check", "models", "chat"])
async def test_a_wrong_setting_is_one_line_and_code_2(tmp_path: Path, command: str) -> None:
    (tmp_path / "antiphon.toml").write_text("prot = 1\n")
    outcome = await antiphon(tmp_path, command, "--backend-api=scripted", "--backend=http://127.0.0.1:9")
    assert outcome.code == 2
    assert "antiphon: error: antiphon.toml: unknown setting 'prot'; did you mean 'port'?\n" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_public_address_without_a_key_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, "serve", "--host", "0.0.0.0")
    assert result.exit_code == 2
    assert "no API key is set" in result.stderr


def test_the_settings_in_effect_are_shown_without_secrets(tmp_path: Path) -> None:
    flags = ["--port=9", "--api-key=hush-1", "--backend=me=http://u:hush-2@h/v1", "--backend-key=hush-3"]
    shown = run(tmp_path, "config", "show", *flags, ANTIPHON_SECRET="hush-4", ANTIPHON_KEEPALIVE="5").stdout
    rows = dict(line.split("  # ", 1)[0].rstrip().split(" = ", 1) for line in shown.splitlines()[1:])
    origins = {line.split(" = ")[0]: line.rpartition("# ")[2] for line in shown.splitlines()}
    assert "hush" not in shown
    assert (rows["port"], rows["api_keys"], rows["keepalive"]) == ("9", '["***"]', "5.0")
    assert (rows["backends.me.url"], rows["backends.me.key"]) == ('"http://***@h/v1"', '"***"')
    assert origins["port"] == "flag --port"
    assert origins["keepalive"] == "environment ANTIPHON_KEEPALIVE"
    assert origins["backends.me.key"] == "flag --backend-key"
    assert origins["host"] == "default"


def test_the_schema_and_the_page_are_printed(tmp_path: Path) -> None:
    assert "engine" in json.loads(run(tmp_path, "config", "schema").stdout)["$defs"]["Config"]["properties"]
    assert run(tmp_path, "config", "docs").stdout == page()


@pytest.mark.slow  # a process
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_is_printed_for_a_shell(tmp_path: Path, shell: str) -> None:
    outcome = await antiphon(tmp_path, "completion", shell)
    assert outcome.code == 0 and "_ANTIPHON_COMPLETE" in outcome.out
