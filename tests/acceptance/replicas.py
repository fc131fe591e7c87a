"""Three servers on one PostgreSQL, mixed streams, and `kill -9` of one of them in the middle.

Some runs are held before their first token until the server is dead: those have to be finished by another one.

python -m tests.acceptance.replicas [STREAMS]
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.acceptance.background import CALLS, Follower, Json, Model, Tools, check, running
from tests.acceptance.command import Command, serving
from tests.stores.postgres_server import running as running_postgres

REPLICAS = 3
PATIENCE = 100.0
HELD = "held"
LONG = 600  # words
CONFIG = """
store = "{store}"
background_lease = {lease}
log_level = "error"
url_guard_allow = ["127.0.0.0/8"]
[backends.model]
url = "{url}/v1"
"""


class HeldModel(Model):
    """The model, which lets jobs with a certain name wait before it answers; without tools it only says a long text."""

    release = threading.Event()

    def read_json(self) -> Json:
        request = super().read_json()
        if any(str(message["content"]).startswith(HELD) for message in request["messages"]):
            self.release.wait(PATIENCE)
        self._long = "tools" not in request
        if self._long:
            request["messages"] += [{"role": "tool"}] * CALLS
        return request

    def _say(self) -> None:
        if self._long:
            for number in range(LONG):
                self._delta({"content": f"{number} "})
        super()._say()


class Replicas:
    """Servers that share a database, and the URL of the tools that their responses call."""

    def __init__(self, servers: Sequence[Command], tools_url: str, store_url: str) -> None:
        self.servers = servers
        self.tools_url = tools_url
        self.store_url = store_url


@contextmanager
def replicas(folder: Path, lease: float) -> Iterator[Replicas]:
    """Run the database, the model, the tools and the servers until the block ends."""
    HeldModel.release.clear()
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        model_url, tools_url = (stack.enter_context(running(handler)) for handler in (HeldModel, Tools))
        store_url = postgres.create("replicas")
        (folder / "antiphon.toml").write_text(CONFIG.format(store=store_url, url=model_url, lease=lease))
        servers = [stack.enter_context(serving(folder, "--config", "antiphon.toml")) for _ in range(REPLICAS)]
        yield Replicas(servers, tools_url + "/mcp", store_url)


def call(url: str, body: Json | None = None, method: str | None = None) -> Json:
    """Make a request; return the answer."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, method=method), timeout=30) as reply:
        answer: Json = json.load(reply)
        return answer


class Foreground(threading.Thread):
    """A client that streams a response, one of four with tool calls, and does not try again."""

    def __init__(self, server: Command, tools_url: str, number: int) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.events: list[Json] = []
        tool = {"type": "mcp", "server_label": "t", "server_url": tools_url, "require_approval": "never"}
        self._fields = {
            "model": "worker",
            "input": f"foreground {number}",
            "tools": [] if number % 4 else [tool],
            "stream": True,
        }

    @property
    def completed(self) -> bool:
        """Tell whether the answer came whole."""
        return bool(self.events) and self.events[-1]["type"] == "response.completed"

    def run(self) -> None:
        """Read to the end, whatever that is."""
        request = urllib.request.Request(f"{self.server.url}/v1/responses", json.dumps(self._fields).encode())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
                for line in reply:
                    if line.startswith(b"data: {"):
                        self.events.append(json.loads(line[6:]))
        except Exception:
            return  # it shows in what was not received


class Outcome:
    """What became of all streams."""

    def __init__(self) -> None:
        self.foreground: Counter[str] = Counter()
        self.open_on_dead = 0
        self.background: Counter[str] = Counter()
        self.of_dead: Counter[str] = Counter()
        self.held: Counter[str] = Counter()

    def __str__(self) -> str:
        return (
            f"foreground: {dict(self.foreground)}, {self.open_on_dead} were open on the dead server;"
            f" background: {dict(self.background)}, of the dead server {dict(self.of_dead)},"
            f" of those that had said nothing yet {dict(self.held)}"
        )


def kill_one(group: Replicas, streams: int, after: float) -> Outcome:
    """Start mixed streams on all servers, kill one `after` so many seconds, and see all streams through."""
    dead, *alive = group.servers
    foreground = [Foreground(group.servers[n % REPLICAS], group.tools_url, n) for n in range(streams // 2)]
    background = [Follower(group.tools_url) for _ in range(streams - len(foreground))]
    held = [Follower(group.tools_url) for _ in range(REPLICAS)]
    for index, follower in enumerate(background):
        follower.url = group.servers[index % REPLICAS].url
    for follower in held:
        follower.url, follower.job = dead.url, f"{HELD} {follower.job}"
    of_dead = [follower for follower in background if follower.url == dead.url]
    for follower in held:
        follower.start()
    _wait_until(lambda: all(_has_listed(each) for each in held))
    for thread in (*foreground, *background):
        thread.start()
    _wait_until(lambda: all(each.id for each in background))
    time.sleep(after)
    outcome = Outcome()
    dead.process.kill()
    dead.process.wait()
    outcome.open_on_dead = sum(not each.completed for each in foreground if each.server is dead)
    for follower in (*of_dead, *held):
        follower.url = alive[0].url
    HeldModel.release.set()
    _join([*foreground, *background, *held])
    outcome.foreground.update(_ending(each, dead) for each in foreground)
    outcome.background.update(_look(each, alive) for each in background if each not in of_dead)
    outcome.of_dead.update(_look(each, alive) for each in of_dead)
    outcome.held.update(_look(each, alive) for each in held)
    return outcome


def _has_listed(follower: Follower) -> bool:
    """Tell whether a run has listed its tools and asks the model: it says nothing before it is released."""
    return any(event["type"] == "response.output_item.done" for event in follower.events)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


def judge(outcome: Outcome) -> None:
    """Raise AssertionError where a living server's stream was touched, or a run was given up that could go on."""
    assert outcome.foreground["broken with its server"] == outcome.open_on_dead > 0, str(outcome)
    assert set(outcome.background) == set(outcome.held) == {"completed"}, str(outcome)
    assert set(outcome.of_dead) <= {"completed", "failed"}, str(outcome)


def _join(threads: Sequence[threading.Thread]) -> None:
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.1, deadline - time.monotonic()))


def _ending(stream: Foreground, dead: Command) -> str:
    if stream.completed:
        numbers = [event["sequence_number"] for event in stream.events]
        assert numbers == list(range(len(numbers))), "a stream has a gap"
        return "completed"
    assert stream.server is dead, f"a stream of another server broke after {stream.events[-1:]}"
    return "broken with its server"


def _look(follower: Follower, alive: Sequence[Command]) -> str:
    """Compare what a client saw with what every living server says."""
    if not follower.id:
        return "never begun"  # killed before the client was told of it
    answers = [call(f"{server.url}/v1/responses/{follower.id}") for server in alive]
    assert all(answer == answers[0] for answer in answers)
    return check(follower, answers[0])


def main(streams: int) -> None:
    """Try it and print what happened."""
    with tempfile.TemporaryDirectory() as name, replicas(Path(name), lease=15.0) as group:
        after = random.uniform(0.0, 1.0)
        began = time.monotonic()
        outcome = kill_one(group, streams, after)
        judge(outcome)
        print(f"{streams} streams, one of {REPLICAS} servers killed after {after:.1f} s: {outcome}")
        print(f"nothing lost, nothing run twice, no gap; all over after {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
