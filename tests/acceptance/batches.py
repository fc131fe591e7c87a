"""Batches, and servers that are killed while they work on them: nothing is lost, nothing stands twice in the output.

A chat completions backend counts how often each request is asked.

python -m tests.acceptance.batches [KILLS]
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import openai
from openai.types import Batch

from antiphon.server.batches.work.answering import MOST_ASKED
from tests.acceptance.background import _Handler, running
from tests.acceptance.command import Command, serving
from tests.server.batches.batch_client import client_of, ended, jsonl, lines_of, response_line, submit

LINES = 150
LONGEST = 1.5  # seconds that a server lives
ANSWER_SECONDS = 0.03

CONFIG = """
store = "{store}"
background_lease = 1.0
batch_running = 4
log_level = "error"
[backends.model]
url = "{url}/v1"
"""


class CountingModel(_Handler):
    """Says what it was asked, and counts."""

    asked: ClassVar[Counter[str]] = Counter()
    lock = threading.Lock()

    def do_GET(self) -> None:  # noqa: N802
        self.send(json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]}).encode())

    def do_POST(self) -> None:  # noqa: N802
        text = self.read_json()["messages"][-1]["content"]
        with self.lock:
            self.asked[text] += 1
        time.sleep(ANSWER_SECONDS)
        choice = {"index": 0, "message": {"role": "assistant", "content": f"<{text}>"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        chunk = {"object": "chat.completion", "choices": [choice], "usage": usage}
        self.send(json.dumps(chunk).encode())


def work(folder: Path, url: str, store: str, kills: int, replicas: int = 1, seed: int = 1) -> dict[str, int]:
    """Make a batch, kill servers while it is worked on, and check what it comes to. Return what happened."""
    chance = random.Random(seed)
    (folder / "antiphon.toml").write_text(CONFIG.format(store=store, url=url))
    name = f"{folder.name}-{seed}"
    texts = [f"{name} {number}" for number in range(LINES)]
    batch: Batch | None = None
    for _ in range(kills):
        with ExitStack() as stack:
            servers = [stack.enter_context(serving(folder, "--config", "antiphon.toml")) for _ in range(replicas)]
            if batch is None:
                batch = _submit(servers[0], texts)
            time.sleep(chance.uniform(0.0, LONGEST))
            servers[-1].process.kill()
            servers[-1].process.wait()
            if replicas > 1:  # the others go on
                time.sleep(chance.uniform(0.0, LONGEST))
    with serving(folder, "--config", "antiphon.toml") as last:
        client = client_of(last.url)
        assert batch is not None
        return _check(client, ended(client, batch), texts, kills * replicas)


def _submit(server: Command, texts: Sequence[str]) -> Batch:
    lines = [response_line(text, text, store=False) for text in texts]
    return submit(client_of(server.url), jsonl(lines))


def _check(client: openai.OpenAI, batch: Batch, texts: Sequence[str], deaths: int) -> dict[str, int]:
    assert batch.status == "completed", batch
    output = lines_of(client, batch.output_file_id)
    errors = lines_of(client, batch.error_file_id) if batch.error_file_id else []
    answered = [line["custom_id"] for line in output]
    assert sorted([*answered, *(line["custom_id"] for line in errors)]) == sorted(texts), "lost, or there twice"
    assert answered == [text for text in texts if text in set(answered)], "not in the order of the file"
    for line in output:
        assert line["response"]["body"]["output"][0]["content"][0]["text"] == f"<{line['custom_id']}>"
    assert all(line["error"]["code"] == "server_error" for line in errors), "given up without a reason"
    again = Counter({text: CountingModel.asked[text] for text in texts if CountingModel.asked[text] > 1})
    assert all(count <= MOST_ASKED for count in again.values()), again
    assert len(again) <= 4 * deaths, "more were asked again than were on their way"
    counts = batch.request_counts
    assert counts is not None and (counts.completed, counts.failed) == (len(output), len(errors))
    assert batch.usage is not None and batch.usage.total_tokens == 5 * len(output)
    files = [file.filename for file in client.files.list(purpose="batch_output") if file.filename.startswith(batch.id)]
    assert len(files) == 1 + bool(errors)
    return {"answered": len(output), "asked again": len(again), "given up": len(errors)}


def main(kills: int) -> None:
    """Kill a server again and again, and print what happened."""
    with running(CountingModel) as url, tempfile.TemporaryDirectory() as name:
        for number in range(kills):
            folder = Path(name) / f"store{number}"
            folder.mkdir()
            print(work(folder, url, "antiphon.db", kills=3, seed=number), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
