"""The page docs/compatibility.md, made of the data of tests/compatibility.py."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.compatibility import ANSWERED, FIELDS, INCLUDES, ITEMS, NESTED, TOOLS
from tests.compatibility_events import EVENTS
from tests.messages_compatibility import TABLES

PAGE = Path(__file__).parents[1] / "docs" / "compatibility.md"


def _rows(header: str, rows: Iterable[Iterable[str]]) -> str:
    names = header.split("|")
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _codes(types: str) -> str:
    return ", ".join(f"`{name}`" if " " not in name else name for name in types.split(", "))


def render() -> str:
    """Return the page."""
    fields = _rows(
        "field|fate|in the response|note",
        ([_codes(name), fate, "yes" if echoed else "", note] for name, fate, echoed, note in FIELDS),
    )
    tables = {
        "Fields within fields": _rows("field|", ([_codes(kind.types), kind.fate] for kind in NESTED)),
        "Values of include": _rows("value|", ([_codes(kind.types), kind.fate] for kind in INCLUDES)),
        "Fields of a response": _rows("field|", ([_codes(kind.types), kind.fate] for kind in ANSWERED)),
        "Items": _rows("type|", ([_codes(kind.types), kind.fate] for kind in ITEMS)),
        "Tools": _rows("type|", ([_codes(kind.types), kind.fate] for kind in TOOLS)),
        "Events": _rows("type|", ([_codes(kind.types), kind.fate] for kind in EVENTS)),
    }
    rest = "\n\n".join(f"## {title}\n\n{table}" for title, table in tables.items())
    messages = "\n\n".join(
        f"### {title}\n\n{_rows('name|', ([_codes(row.names), row.fate] for row in rows))}"
        for title, rows in TABLES.items()
    )
    ours = f"## Request fields\n\n{fields}\n\n{rest}"
    return f"{_INTRODUCTION}\n{ours}\n\n{_MESSAGES}\n{messages}\n\n{_CLIENTS}"


_INTRODUCTION = """# Compatibility

Written by `scripts/docs` from `tests/compatibility.py`, whose data the tests check; do not edit it here.

*Honoured*: it changes what is done. *Forwarded*: it goes to the backend as it is. *Refused*: a 400 that names it.
*Ignored*: taken, without effect. `null` stands for the default everywhere but in `input` and `model`.

Where OpenAI's document, Open Responses' and the types of the newest `openai` package differ, and where this server differs
from one of them: [divergences.py](../tests/oracle/divergences.py), each with its reason and a test that pins it. A test fails
when a newer package names a field, item, tool, event or value of `include` that no row here names; the fields of each type of
item and tool are those of [package_fields.json](../tests/oracle/package_fields.json).
"""

_MESSAGES = """## Anthropic's Messages API

All that the newest `anthropic` package (2.14) names of `/v1/messages`, betas included; a test fails when a newer one names
more. What each does: [messages.md](messages.md). A request to a backend that speaks this API itself passes as it is, unless a
guard applies to it, or it holds seals or URLs that this server has to look into.

A conversation that ends with an assistant's text is refused (400) on Responses backends other than llama.cpp and vLLM: the
Responses API has no way to ask for the rest of a message. OpenAI's own servers begin a new answer, which a client would append
to its own beginning.
"""


_CLIENTS = """## Clients

`scripts/acceptance` fetches these from PyPI and npm and runs them against the real command: Codex CLI 0.171 (SSE and WebSocket,
patches, MCP servers, resume, compaction of all kinds, `--oss`, its app server), Claude Code 2.1.332 (tools, two at once,
pictures, edited files, sub-agents, resume, compaction, `/context`, tool search, the demo model with `--bare`), claude-agent-sdk
0.2, anthropic 0.40 and 2.14, @anthropic-ai/sdk 1.14, openai-python 1.66 to 3.54, openai-node 7.57 (also its WebSocket client),
openai-agents 0.24, @openai/agents 0.20, ai 7.0 with @ai-sdk/openai 4.0 and @ai-sdk/open-responses 2.0, langchain-openai 1.7,
pydantic-ai 2.68, llm 0.36, opencode 1.18, pi 0.73. The scenarios are in [tests/clients](../tests/clients); each says in its
first lines what it tries.

`scripts/acceptance codex_vendors` lets Codex talk to each vendor of [backends.md](backends.md) through three turns with commands,
in the vendor's own bytes, and prints a table: which ids and thoughts went back.

### Applications and frameworks

`scripts/acceptance apps` installs each of these from PyPI or npm in an environment of its own, plays it in front of `antiphon serve`
with a scripted model, and prints this table ([tests/apps](../tests/apps)). Played means: the answer, the tools' results and what
was said before are checked, as the application's own API gives them.

| application | version | speaks | played | result |
|---|---|---|---|---|
| LlamaIndex | llama-index-llms-openai 0.8.3 | Responses, chat | answer, stream, two tools in an agent (streamed, whole, `store: false`), two ways of structured output, turns, a chain | all right; drops thoughts |
| Microsoft Agent Framework | 1.17.0 | Responses | answer, stream, two tools (streamed, whole, `store: false`), structured output, session | all right |
| Semantic Kernel | 1.45.0 | Responses | answer, stream, two tools of a plugin (streamed, whole, `store: false`), structured output, thread | all right |
| Haystack | 3.4.1 | Responses | answer with thoughts and usage, stream, two tools in an agent (streamed, whole), structured output, turns | all right |
| Mastra | 1.71.0 | Responses, chat | answer with usage, stream, two tools (streamed, whole), structured output, turns | all right |
| CrewAI | 1.15.30 | Responses, chat | answer, stream, two tools in a crew, structured output, `auto_chain` | all right; drops thoughts |
| Strands Agents | 1.62.0 | Responses, chat | answer, stream, two tools, structured output, turns | all right; drops thoughts |
| OpenInference | 0.1.66 | Responses | model, tokens, answer and calls in spans, streamed and whole | all right |
| BAML | 0.226.3 | Responses, chat | answer and stream, with and without thoughts | a stream with thoughts over Responses fails: it takes the first item with `content` for the answer; chat completions work |
| Inspect | 0.3.285 | Responses | answer with usage, two tools, structured output, turns, background | background needs `responses_store=True`: it sends `store: false` else, a 400 |
| DSPy | 3.4.1 | Responses, chat | answer, fields of a signature with usage, JSON, turns, by LiteLLM | all right |
| Qwen Code | 0.24.4 | chat | answer, a file read and written, `--continue` | all right |
| Cline CLI | 3.0.65 | Responses | set-up, answer, two commands | all right; drops thoughts |
| Continue CLI | 1.5.47 | Responses | answer, a file read and written, `--resume` | all right; drops thoughts |
| Open WebUI | 0.12.4 | Responses, chat | connection, models, answer, stream, a tool of the caller (streamed, whole), a picture, a saved chat, its own two tools | all right; its install takes minutes, so it is played where it is named; drops thoughts |
| n8n | 2.35.7 | Responses, chat | credential and workflows brought in; an agent's answer, two tools, much effort, output parser, JSON schema; the OpenAI node | all right over Responses; over chat completions it sends an assistant's turn with `content: []` behind thoughts, which backends may refuse; its install takes minutes and a compiler, so it is played where it is named; drops thoughts |
| Google ADK | 2.13.0 | chat, Responses by LiteLLM | answer with usage, stream, two tools (streamed, whole), structured output, session | all right |
| promptfoo | 0.123.1 | Responses, chat | answer with usage, call, structured output, by its own assertions | all right |
| OpenLLMetry | 0.62.4 | Responses, chat | model, tokens, answer and calls in spans: whole, streamed, stream helper | all right |
| Logfire | 5.4.0 | Responses, chat | the same | all right |
| Langfuse | 5.0.4 | Responses, chat | the same, as they arrive over OTLP at a server | all right |
| aider | 0.86.2 | chat | an edit, streamed and whole | all right |

Thoughts that a client drops are found again by the ids of its calls (`recall_bytes`).

Not in this run: Goose, LibreChat, Jan and Zed come neither from PyPI nor from npm; Crush's npm package has no program in it, and fetches it from GitHub.

## Conformance suites

llmprobe 0.6.12, run against a model by rule that can do what the suite asks for
([capable.py](../tests/clients/capable.py)), with `--full --no-bench`; `scripts/acceptance llmprobe` runs it again:

| server | flag | models | chat | responses | messages | their tokens | other routes | edits | inconclusive |
|---|---|---|---|---|---|---|---|---|---|
| defaults | `--reasoning off` | 4 of 4 | 94 of 94 | 94 of 94 | 84 of 87 | 3 of 3 | 8 of 8 | 0 of 1 | 0 |
| `open_responses_names` | `--reasoning medium` | 4 of 4 | 101 of 101 | 95 of 95 | 84 of 87 | 3 of 3 | 8 of 8 | 0 of 1 | 0 |
| defaults | `--reasoning medium` | 4 of 4 | 101 of 101 | 87 of 95 | 84 of 87 | 3 of 3 | 8 of 8 | 0 of 1 | 0 |

These are its MUST assertions. The eight misses of the last row are one: the suite knows Open Responses' names of reasoning
events only (`response.reasoning.delta`), and the default is OpenAI's (`response.reasoning_text.delta`), which the SDKs read. The
three misses of messages are one: the suite wants `cache_read_input_tokens` not to exceed `input_tokens`, which in Anthropic's
API leave out what was read from the cache. The miss of edits is the suite's own: it sends the text `[object FormData]`, as
Node's FormData is not that of the fetch that it brings along; forms pass ([relayed-routes.md](relayed-routes.md)). Other
routes: embeddings, legacy completions, pictures, speech. Its sections on the model's ability and on
agents measure the model, which here is a list of rules.

llm-comply 0.5, which holds answers against OpenAPI documents (`scripts/acceptance llm_comply`): Anthropic 9 of 9, Open Responses
12 of 12, chat completions 8 of 8; of these two one test each is left out that wants a model by its name. The tests that
Anthropic generates for its Python SDK (0.121: `test_messages`, `test_models`, both also of the beta) pass, 220 of 220, with
the URL of an MCP server that exists in place of theirs. Of those for its TypeScript SDK (0.120: messages, batches, models, all
also of the beta) 53 of 59 pass: six ask for a batch `message_batch_id`, which is a 404. The Python tests of batches ask for it
too, and list them with `after_id` and `before_id` at once, a 400.

The tests that are generated for openai-python 3.57 (responses, conversations, models, chat, files, uploads, vector stores,
containers, skills, batches, webhooks, decisions, embeddings, moderations, completions, images, audio; 1,518 of 1,816) and for openai-node
(the same as far as it has them; 125 of 144) pass but for those that [run.py](../tests/clients/generated/run.py) and
[node.py](../tests/clients/generated/node.py) list with the reason, such as `limit: 0`, or a response without any input.

The official suite of Open Responses (revision 2026-04-24): 17 of 17, with a model that thinks and with one that does not.

@modelcontextprotocol/conformance 0.2.0-alpha.12, with the server as the MCP client under test; `scripts/acceptance
mcp_conformance` runs it again: all scenarios that revisions 2025-11-25 and 2026-07-28 require of clients pass, without OAuth (the
callers of this server bring the tokens of MCP servers) and defaults of elicitation (there is no person to ask).
"""

if __name__ == "__main__":
    PAGE.write_text(render())
