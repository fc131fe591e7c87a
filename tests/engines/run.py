"""Run real engines behind the real command: `python -m tests.engines.run` (`scripts/acceptance engines`).

Installs each engine from PyPI in an environment of its own, outside the repository, starts it with the demo model, starts
`antiphon serve` in front of it, tries every feature in every mode, and prints engine by feature: ✓ right, = a limit of the
engine that is told, with its words below, ✗ wrong. Returns 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.command import serving
from tests.engines.answers import FEATURES
from tests.engines.asking import MODES, Asking, ToldError, WrongError
from tests.engines.engines import ENGINES, VLLM_RECIPE, Running, settings_of, started
from tests.engines.install import install
from tests.engines.limits import limit_of
from tests.engines.page import LIMIT, RIGHT, SEEN, WRONG
from tests.engines.serving import SERVING, Served


@dataclass(frozen=True)
class Verdict:
    """What became of one feature in one mode."""

    engine: str
    api: str
    feature: str
    mode: str
    mark: str
    said: str = ""


def main() -> int:
    """Run what the command line names. Returns 1 if anything is wrong."""
    asked = _arguments()
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.only or [name for name, engine in ENGINES.items() if not engine.by_hand]:
            install(name, *ENGINES[name].steps)
            verdicts += _run(name, Path(folder), asked)
    print("\n" + table(verdicts))
    for verdict in verdicts:
        if verdict.mark != RIGHT:
            print(f"{verdict.mark} {verdict.engine} {verdict.api}, {verdict.feature} ({verdict.mode}): {verdict.said}")
    if asked.record:
        _record(verdicts)
    wrong = sum(verdict.mark == WRONG for verdict in verdicts)
    print(f"{len(verdicts)} tries, {sum(verdict.mark == LIMIT for verdict in verdicts)} told limits, {wrong} wrong")
    return int(wrong > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/acceptance engines",
        description="Run real engines behind the real command.",
        epilog=VLLM_RECIPE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=ENGINES, help="an engine; repeatable; default: all but vllm")
    parser.add_argument("--api", choices=("chat", "responses"), help="the engine's API; default: each that it has")
    parser.add_argument("--feature", help="part of the names of features")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="what all limits of time are multiplied by; default: 1"
    )
    parser.add_argument("--record", action="store_true", help="keep what was seen in seen.json, for docs/backends.md")
    asked = parser.parse_args()
    if asked.record and asked.feature:
        parser.error("--record keeps whole columns: leave out --feature")
    return asked


def _run(name: str, folder: Path, asked: argparse.Namespace) -> list[Verdict]:
    """Try an engine through each of its APIs."""
    engine = ENGINES[name]
    verdicts: list[Verdict] = []
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(started(engine.behind, folder, factor=asked.patience)).url if engine.behind else ""
        running = stack.enter_context(started(name, folder, behind, factor=asked.patience))
        for one in engine.apis:
            if one == (asked.api or one):
                verdicts += _run_api(running, name, one, asked.feature or "", asked.patience)
    return verdicts


def _run_api(running: Running, name: str, api: str, part: str, factor: float) -> Iterator[Verdict]:
    folder = running.place.folder
    (folder / f"{name}-{api}.toml").write_text(settings_of(running, api))
    arguments = ("--config", f"{name}-{api}.toml", "--store", f"{name}-{api}.db", "--log-level", "info")
    log = folder / f"{name}-{api}-server.log"
    with serving(folder, *arguments, log=log) as command:
        asking = {mode: Asking(command.url, "demo", mode, factor) for mode in MODES}
        asking["whole"].wait_for_model()
        for feature, run in FEATURES.items():
            for mode in MODES if part in feature else ():
                yield _told(name, api, feature, mode, lambda run=run, mode=mode: run(asking[mode]))
        served = Served(command, running, api, asking["whole"], factor)
        for feature, look in SERVING.items():
            if part in feature:
                yield _told(name, api, feature, "", lambda look=look: look(served))
        yield _told(name, api, "server's log", "", lambda: _calm(log))


def _calm(log: Path) -> None:
    """Make sure that nothing unexpected happened in the server."""
    said = log.read_text(errors="replace")
    if "Traceback" in said:
        raise WrongError(said[said.index("Traceback") :][:400])


def _told(name: str, api: str, feature: str, mode: str, run: object) -> Verdict:
    """Run one feature in one mode, and hold it against the limits."""
    limit = limit_of(name, api, feature, mode)
    said = ""
    try:
        run()  # type: ignore[operator]
    except (ToldError, WrongError) as error:
        said = " ".join(str(error).split())
    except Exception as error:
        said = f"{type(error).__name__}: {error} at {traceback.extract_tb(error.__traceback__)[-1].name}"
    if limit is None:
        mark = WRONG if said else RIGHT
    elif not said and limit.sometimes:
        mark = RIGHT
    elif not said:
        mark, said = WRONG, f"the limit is not met: {limit.reason}"
    else:
        mark = LIMIT if limit.told in said else WRONG
    print(f"{mark} {name} {api}, {feature} {mode} {said[:300]}", flush=True)
    return Verdict(name, api, feature, mode, mark, said[:600])


def table(verdicts: list[Verdict]) -> str:
    """Return engine by feature: the worst mark of all modes, with the modes where it is not all of them."""
    columns = list(dict.fromkeys((verdict.engine, verdict.api) for verdict in verdicts))
    names = [f"{engine} {api}" for engine, api in columns]
    lines = ["  ".join(["feature".ljust(24), *names])]
    for feature in dict.fromkeys(verdict.feature for verdict in verdicts):
        marks = [worst(verdicts, *column, feature) for column in columns]
        cells = [mark.ljust(len(name)) for mark, name in zip(marks, names, strict=True)]
        lines.append("  ".join([feature.ljust(24), *cells]).rstrip())
    return "\n".join(lines)


def worst(verdicts: list[Verdict], engine: str, api: str, feature: str) -> str:
    """Return the mark of one cell."""
    marks = [one.mark for one in verdicts if (one.engine, one.api, one.feature) == (engine, api, feature)]
    return next((mark for mark in (WRONG, LIMIT, RIGHT) if mark in marks), "")


def _record(verdicts: list[Verdict]) -> None:
    """Keep the marks of these engines, beside those of others that are kept."""
    kept = json.loads(SEEN.read_text()) if SEEN.is_file() else {}
    for engine, api in dict.fromkeys((verdict.engine, verdict.api) for verdict in verdicts):
        features = dict.fromkeys(one.feature for one in verdicts if (one.engine, one.api) == (engine, api))
        kept[f"{engine} {api}"] = {feature: worst(verdicts, engine, api, feature) for feature in features}
    SEEN.write_text(json.dumps(dict(sorted(kept.items())), ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
