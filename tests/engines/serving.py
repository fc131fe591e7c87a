"""What an engine is tried with beside single answers: its models, counts, many clients at once, clients that go, its death."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from openai import APIStatusError, NotFoundError

from tests.acceptance.command import Command
from tests.engines.answers import BOTH, HELLO, PARIS, ROOM, WEATHER
from tests.engines.asking import Asking, Json, ToldError, WrongError, expect, text
from tests.engines.engines import KEY, Running, backend_model

AT_ONCE = 16
LISTED = 20.0  # seconds until what was learned of a model is listed
RESTART = 60.0  # seconds until a restarted engine is served again
DOCTOR = 240.0  # seconds for an examination


@dataclass(frozen=True)
class Served:
    """A server in front of an engine."""

    command: Command
    running: Running
    api: str
    ask: Asking
    factor: float = 1.0
    """What all limits of time are multiplied by."""


SERVING: dict[str, Callable[[Served], None]] = {}


def serving_feature(run: Callable[[Served], None]) -> Callable[[Served], None]:
    """Put a feature into the table, by its name."""
    SERVING[run.__name__.removeprefix("_").replace("_", " ")] = run
    return run


@serving_feature
def _window_known(served: Served) -> None:
    """The window is listed: as the engine lists it, or as a refusal has told it (the overflow before this)."""
    deadline = time.monotonic() + LISTED * served.factor
    while (window := served.ask.client.models.retrieve(served.ask.model).to_dict().get("context_length")) is None:
        expect(time.monotonic() < deadline, "context_length is null")
        time.sleep(0.5)
    expect(isinstance(window, int), window)


@serving_feature
def _input_tokens(served: Served) -> None:
    """Compare counts with the usage of the same requests: exact by the engine's tokenizer, else an estimate that says so."""
    requests: list[Json] = [
        {"input": HELLO},
        {"input": HELLO, "instructions": "You are a pirate."},
        {"input": PARIS, "tools": [WEATHER]},
        {"input": BOTH, "tools": [WEATHER]},
    ]
    for _ in range(2):  # estimates learn from usage: the second round counts
        seen = []
        for request in requests:
            counted = served.ask.client.responses.input_tokens.with_raw_response.count(
                model=served.ask.model, **request
            )
            usage = served.ask(**request, max_output_tokens=ROOM)["usage"] or {"input_tokens": 0}
            estimated = "x-antiphon-token-count" in counted.headers
            seen.append((counted.parse().input_tokens, usage["input_tokens"], estimated))
    exact = all(count == real for count, real, _ in seen)
    told = all(estimated for *_, estimated in seen)
    near = all(abs(count - real) <= max(8, real // 4) for count, real, _ in seen)
    shown = ", ".join(f"{count} for {real}" for count, real, _ in seen)
    expect(exact, f"estimates{' near' if near else ' far'} by header: {shown}" if told else f"wrong: {shown}")


@serving_feature
def _chat_completions(served: Served) -> None:
    """Relay chat completions: whole and streamed say the same, with usage, and stop strings cut."""
    asked: Json = {"model": served.ask.model, "messages": [{"role": "user", "content": HELLO}], "temperature": 0}
    chat = served.ask.client.chat.completions
    whole = chat.create(**asked, max_tokens=60)
    chunks = list(chat.create(**asked, max_tokens=60, stream=True, stream_options={"include_usage": True}))
    said = "".join(one.delta.content or "" for chunk in chunks for one in chunk.choices)
    expect(whole.choices[0].message.content == said, f"{whole.choices[0].message.content!r}, streamed {said!r}")
    expect(whole.usage is not None and any(chunk.usage for chunk in chunks), "no usage")


@serving_feature
def _stop_strings(served: Served) -> None:
    asked: Json = {"model": served.ask.model, "messages": [{"role": "user", "content": HELLO}], "temperature": 0}
    chat = served.ask.client.chat.completions
    whole = chat.create(**asked, max_tokens=60, stop=[" my"])
    chunks = list(chat.create(**asked, max_tokens=60, stop=[" my"], stream=True))
    said = "".join(one.delta.content or "" for chunk in chunks for one in chunk.choices)
    seen = (whole.choices[0].message.content or "").strip(), said.strip()
    expect(seen == ("Hello there", "Hello there"), seen)


@serving_feature
def _client_stops(served: Served) -> None:
    """Leave a stream, cancel a background response: both are cancelled, or gone. The engine answers the next."""
    client = served.ask.client
    asked: Json = {"model": served.ask.model, "input": "Count from 1 to 100 slowly.", "max_output_tokens": 600}
    stream = client.responses.create(**asked, stream=True)
    first = next(iter(stream))
    stream.close()
    background = client.responses.create(**asked, background=True)
    try:
        cancelled = client.responses.cancel(background.id).status
    except APIStatusError as error:  # it was faster
        cancelled = "completed" if "completed" in error.message else error.message
    expect(cancelled in ("cancelled", "completed", "incomplete"), cancelled)
    expect(served.ask(input=HELLO, max_output_tokens=ROOM)["status"] == "completed", "the next request")
    expect(first.type == "response.created", first.type)
    try:
        status = client.responses.retrieve(first.response.id).status
        expect(status in ("cancelled", "completed", "incomplete"), status)  # the last two: it was faster
    except NotFoundError:
        pass


@serving_feature
def _many_at_once(served: Served) -> None:
    """All clients at once get a whole answer, or are told that theirs broke off; never half of one as if it were whole."""
    found: dict[int, str] = {}

    def one(number: int) -> None:
        mode = "streamed" if number % 2 else "whole"
        ask = Asking(served.command.url, served.ask.model, mode, served.factor)
        try:
            made = ask(input=HELLO, max_output_tokens=ROOM)
            found[number] = f"{made['status']} {text(made)}"
        except (ToldError, WrongError) as error:
            found[number] = f"{type(error).__name__} {error}"

    threads = [threading.Thread(target=one, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = text(served.ask(input=HELLO, max_output_tokens=ROOM))
    wrong = sorted({said for said in found.values() if said != f"completed {alone}"})
    expect(not wrong and len(found) == AT_ONCE, f"{len(wrong)} other answers, such as {wrong[:2]}")


@serving_feature
def _doctor(served: Served) -> None:
    """Examine the engine, and serve with the settings that come of it: they must load."""
    command = [sys.executable, "-m", "antiphon", "doctor", f"real={served.running.url}", "--key", KEY, "--api"]
    folder = served.running.place.folder
    written = folder / f"{served.command.port}-doctor.toml"
    command += [served.api, "--model", backend_model(served.running.engine), "--write", str(written)]
    limit = DOCTOR * served.factor
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, check=False)
    expect(done.returncode == 0, done.stderr[-400:])
    check = [sys.executable, "-m", "antiphon", "config", "show", "--config", str(written)]
    environment = {**os.environ, "REAL_KEY": KEY}
    checked = subprocess.run(
        check, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    expect(checked.returncode == 0, checked.stderr[-400:])


@serving_feature
def _killed_and_restarted(served: Served) -> None:
    """Kill the engine: the next request is an error that says so. Start it again: it is served again by itself."""
    served.running.kill()
    try:
        made = served.ask(input=HELLO, max_output_tokens=ROOM)
        expect(False, f"an answer without an engine: {text(made)!r}")
    except ToldError as error:
        expect(str(error).startswith(("502", "503", "504")), error)
    served.running.start()
    deadline = time.monotonic() + RESTART * served.factor
    while True:
        try:
            made = served.ask(input=HELLO, max_output_tokens=ROOM)
            break
        except ToldError as error:
            expect(time.monotonic() < deadline, f"not served again: {error}")
            time.sleep(0.5)
    expect(made["status"] == "completed", made["status"])
