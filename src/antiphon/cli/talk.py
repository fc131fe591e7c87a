"""A conversation with a model: each question one streamed response, each after the one before."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from antiphon.cli.client import Client
from antiphon.errors import APIError

DIM, PLAIN = "\x1b[2m", "\x1b[0m"
_THOUGHTS = ("response.reasoning_text.delta", "response.reasoning.delta", "response.reasoning_summary_text.delta")
_ANSWER = ("response.output_text.delta", "response.refusal.delta")


class Talk:
    """Asks and prints. `tty` shows thoughts, dimmed; without it only the answer is printed."""

    def __init__(self, client: Client, model: str, *, tty: bool, out: TextIO | None = None) -> None:
        self.client = client
        self.model = model
        self.previous: str | None = None
        self._tty = tty
        self._out = out or sys.stdout
        self._dimmed = False

    def forget(self) -> None:
        """Begin anew."""
        self.previous = None

    def ask(self, text: str) -> bool:
        """Print the answer as it comes; return whether there was one. Ctrl-C stops it, and the model too."""
        body: dict[str, Any] = {"model": self.model, "input": text}
        if self.previous:
            body["previous_response_id"] = self.previous
        events = self.client.stream(body)
        try:
            answered = False
            for event in events:  # to the end of the stream, so that the connection closes in order
                answered |= self._show(event)
            return answered
        except KeyboardInterrupt:
            self._dim(False)
            print("\n(stopped)", file=self._out, flush=True)
            return False
        except APIError as error:
            self._dim(False)
            print(f"antiphon: error: {error.message}", file=sys.stderr, flush=True)
            return False
        finally:
            events.close()

    def _show(self, event: dict[str, Any]) -> bool:
        """Print what an event adds; return whether it ends an answer well."""
        type = event["type"]
        if type in _ANSWER:
            self._dim(False)
            self._write(event["delta"])
        elif type in _THOUGHTS and self._tty:
            self._dim(True)
            self._write(event["delta"])
        elif type == "response.failed":
            raise APIError(502, (event["response"]["error"] or {}).get("message", "the response failed"))
        elif type in ("response.completed", "response.incomplete"):
            self._finish(event["response"])
            return True
        return False

    def _finish(self, response: dict[str, Any]) -> None:
        self._dim(False)
        self.previous = response["id"]
        reason = (response.get("incomplete_details") or {}).get("reason")
        self._write("\n")
        if reason:
            print(f"(incomplete: {reason})", file=sys.stderr, flush=True)

    def _dim(self, dimmed: bool) -> None:
        if self._dimmed and not dimmed:
            self._write(f"{PLAIN}\n\n")
        elif dimmed and not self._dimmed:
            self._write(DIM)
        self._dimmed = dimmed

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
