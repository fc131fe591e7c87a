"""Conversations whose clients send all of the history with each turn, while the server is killed: what SQLite keeps in pieces."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tests.attack.report import Report

if TYPE_CHECKING:
    from tests.attack.kill import Work

TURNS = 6
LONG = "It is what a tool has found, again and again. " * 60

ORPHANS = """
SELECT count(*) FROM input_pieces AS piece
WHERE CASE piece.held
    WHEN 1 THEN NOT EXISTS (SELECT 1 FROM responses WHERE CAST(input AS INTEGER) = piece.id AND length(input) < 20)
    ELSE NOT EXISTS (SELECT 1 FROM input_pieces WHERE parent = piece.id)
END
"""
"""Pieces that nothing needs."""

Said = list[tuple[str, str]]


async def grow(work: Work, random: Random) -> None:
    """Make turns, each with the whole history; go back to an earlier one and delete some; look at all inputs at the end."""
    history: Said = []
    inputs: dict[str, Said] = {}
    for _ in range(TURNS):
        text = f"{random.randrange(10**9)}"
        asked = [*history, ("user", LONG + text), ("user", f"/delay 0.01\n{text}")]
        fields = {"model": "scripted", "input": [message(role, said) for role, said in asked]}
        answer = await work.ask("POST", "/v1/responses", fields)
        if answer.status != 200 or not answer.whole:
            work.counts["cut off"] += 1
            continue
        work.acknowledge("turn with its history", json.loads(answer.body), text)
        inputs[json.loads(answer.body)["id"]] = asked
        history = [*asked, ("assistant", text)]
        if random.random() < 0.2:
            history = history[: 3 * random.randrange(1, 3)]
        if random.random() < 0.2:
            await work.delete(gone := random.choice(list(inputs)))
            inputs.pop(gone)
    for id, asked in inputs.items():
        listed = await work.until_up("GET", f"/v1/responses/{id}/input_items?order=asc&limit=100")
        found = [said_in(item) for item in json.loads(listed.body)["data"]] if listed.status == 200 else listed.status
        if found != asked:
            work.fault("an input is not what was sent", [id, asked, found])


def message(role: str, text: str) -> dict[str, Any]:
    """Return a message as clients send back what they have shown."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def said_in(item: Any) -> tuple[str, str]:
    """Return the role and the text of a message."""
    return item["role"], "".join(part["text"] for part in item["content"])


def check_pieces(path: Path, report: Report) -> None:
    """Look whether a store has pieces of inputs that no response needs."""
    connection = sqlite3.connect(path)
    ((count,),) = connection.execute(ORPHANS).fetchall()
    ((kept,),) = connection.execute("SELECT count(*) FROM input_pieces").fetchall()
    connection.close()
    report.figure("kill: pieces of inputs", kept)
    if count:
        report.found("kill", f"{count} pieces of inputs are left over", "", b"", str(path))
