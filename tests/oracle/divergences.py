"""Where we differ from a document on purpose: which document, where, what it says, and why. Tests pin that each is needed."""

from __future__ import annotations

import re
from typing import NamedTuple


class Divergence(NamedTuple):
    """`place` is a pattern for the place inside the response or event, `fault` one for the document's words."""

    document: str
    place: str
    fault: str
    reason: str

    def covers(self, document: str, fault: str) -> bool:
        """Tell whether a fault found by a document is this one."""
        place, message = fault.removeprefix(".response").split(": ", 1)
        return (
            document == self.document
            and re.fullmatch(self.place, place) is not None
            and re.search(self.fault, message) is not None
        )


DIVERGENCES = (
    Divergence(
        "OpenAI", r"\.user", "^null is not", "Every response has all keys; Open Responses' readers want no gaps."
    ),
    Divergence(
        "OpenAI",
        r"\.usage",
        "^null is not",
        "Open Responses requires the key; before the end, and where a backend does not count, there is no number to give.",
    ),
    Divergence(
        "OpenAI",
        r"\.error",
        r'^\{"code":"backend_',
        "OpenAI has no code for the failure of a backend; clients show the message, whatever the code.",
    ),
    Divergence(
        "OpenAI",
        r"\.text\.format",
        '"description":null',
        "Open Responses requires the key; OpenAI's own service sends null as well.",
    ),
    Divergence("OpenAI", r"\.type", "no event 'keepalive'", "OpenAI's service sends it; its document leaves it out."),
    Divergence(
        "Open Responses",
        r"\.text\.format",
        '"schema":',
        "The document allows null alone as the schema; its own text means the schema that was sent.",
    ),
    Divergence(
        "Open Responses",
        r"\.tools\[\d+\]",
        '"type":"(custom|namespace)"',
        "The document knows functions only; other tools are its extensions, and are echoed as they were declared.",
    ),
    Divergence(
        "Open Responses",
        r"\.item|\.output\[\d+\]",
        '"type":"custom_tool_call"',
        "Custom tools are OpenAI's; the document leaves further item types to extensions.",
    ),
    Divergence(
        "Open Responses",
        r"\.type",
        "no event 'response.custom_tool_call_input",
        "Custom tools are OpenAI's; the document leaves further events to extensions.",
    ),
    Divergence(
        "Open Responses",
        r"\.type",
        "no event 'response.image_generation_call",
        "Pictures as items are OpenAI's; the document leaves further items and events to extensions.",
    ),
    Divergence(
        "Open Responses",
        r"\.item|(\.response)?\.output\[\d+\]",
        '"type":"image_generation_call"',
        "As above.",
    ),
    Divergence(
        "Open Responses",
        r"\.type",
        "no event 'keepalive'",
        "As above: clients pass it over, and it keeps Codex waiting.",
    ),
    Divergence(
        "openai-python",
        "",
        r"\('store', 'presence_penalty', 'frequency_penalty' were unexpected\)",
        "Open Responses requires these keys in every response.",
    ),
    Divergence(
        "openai-python",
        "",
        r"\('code', 'message', 'param' were unexpected\)|\('error'",
        "OpenAI's document has an error event flat, its WebSocket guide nested: clients read one of the two.",
    ),
    Divergence(
        "openai-python",
        "",
        r"\('name' was unexpected\)",
        "OpenAI's document requires `name` in `function_call_arguments.done`; the package has left it out.",
    ),
    Divergence(
        "openai-python",
        r"\.error",
        r'^\{"code":"backend_',
        "As in OpenAI's document: no code for a failure of a backend.",
    ),
    Divergence("openai-python", r"\.text", '"description":null', "As in OpenAI's document."),
    Divergence(
        "openai-python", r"\.type", "no event 'keepalive'", "OpenAI's service sends it; its package passes it over."
    ),
    Divergence(
        "openai-python",
        r"\.logprobs\[\d+\](\.top_logprobs)?",
        "bytes",
        "OpenAI's document requires `bytes` in the logprobs of a text; the package has them in items only.",
    ),
    Divergence(
        "openai-python",
        r"\.item|\.output\[\d+\]",
        '"type":"custom_tool_call"',
        "OpenAI's document has a `status` of such calls, which its service sends; the package leaves it out.",
    ),
)
