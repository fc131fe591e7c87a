"""Codex shows what the backend said: refusals, a full window, a cut line, an overload that passes."""

from tests.clients.codexes import Codex
from tests.clients.lib import MODEL, has, play, same, scenario


def failing(step: dict[str, object], retries: int = 0) -> str:
    with Codex(retries=retries) as codex:
        turn = codex.run(play("x", step))
        assert turn.errors, turn.events
        return " ".join(turn.errors)


def main() -> None:
    has(failing({"error": {"status": 400, "message": "too odd for me"}}), "too odd for me")
    has(failing({"error": {"status": 503, "message": "come back later"}}), "come back later")
    failing({"error": {"status": 400, "message": "maximum context length is 10", "code": "context_length_exceeded"}})
    failing({"say": "this line will be cut", "cut": 3})
    with Codex() as codex:
        turn = codex.run("x", "-m", "no-such-model")
        has(" ".join(turn.errors), "no-such-model")
        has(" ".join(turn.errors), MODEL)
        same(codex.run(play("x", {"say": "cut", "finish": "stop"})).text, "cut")


scenario(main)
