"""Rows of the agent user: agents that are started, settings that are pasted, tools that are declared."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from antiphon.backends.llama.model import DEMO_FILE
from tests.acceptance.command import ROOT
from tests.acceptance.people.serve import CLIENTS, KEY, NODE, SCRIPTED, Served, antiphon, environment, run, served

PYTHON = CLIENTS / ".venv/bin/python"
CODEX = CLIENTS / "node_modules/.bin/codex"
CLAUDE = CLIENTS / "node_modules/@anthropic-ai/claude-code-linux-x64/claude"
WINDOW = 131_072
CARD = f"""
[backends.demo]
url = "http://127.0.0.1:9/v1"
api = "scripted"
[models.scripted]
backends = ["demo"]
context_length = {WINDOW}
images = true
[models.narrow]
backends = ["demo"]
context_length = 8192
"""
WINDOWS = ("opencode", "pi", "crush", "cline", "roo", "vscode", "zed", "raycast", "claude")
"""Clients whose settings name the window of the model."""
WANTED = """
opencode pi llm claude cline aider open-webui librechat cursor jan raycast codex vscode zed continue goose crush roo n8n
python javascript curl agents-sdk ai-sdk langchain pydantic-ai
""".split()
PYTHON_SNIPPETS = ("python", "agents-sdk", "langchain", "pydantic-ai", "anthropic", "claude-agent-sdk")
NODE_SNIPPETS = ("javascript", "agents-sdk-js", "ai-sdk", "anthropic-js")


def install(folder: Path, name: str, binary: Path) -> None:
    """Put an agent into the person's path."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).symlink_to(binary)


def a1_a_model_that_does_not_think(folder: Path) -> str:
    """`launch codex` with a GGUF whose template knows no thoughts: nothing is refused, and the model's words come."""
    install(folder, "codex", CODEX)
    (folder / "own.gguf").write_bytes(
        DEMO_FILE.read_bytes().replace(b"think", b"thonk").replace(b"antiphon-demo", b"no-thoughts-1")
    )
    with served(folder, "--model", "own.gguf", "--store", "memory") as server:
        server.wait_for("embedded engine loaded no-thoughts-1")
        launch = [sys.executable, "-m", "antiphon", "launch", "codex", "--url", f"{server.url}/v1"]
        talk = ["--", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "Say hello."]
        with (folder / "codex.log").open("wb") as log:
            codex = subprocess.Popen(
                [*launch, *talk],
                cwd=folder,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            first = _first_token(server, codex, folder / "codex.log")
        finally:
            codex.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                codex.wait(20)
            codex.kill()
            codex.wait()
    told = (folder / "codex.log").read_text(errors="replace")
    assert "no-thoughts-1 has a window of 8,192 tokens" in told, told
    assert "ERROR" not in told, told
    return f"Codex gets words of a model that does not think, the first after {first:.0f} s of a prompt of thousands of tokens"


def _first_token(server: Served, codex: subprocess.Popen[bytes], log: Path) -> float:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        listed = server.client().get("/admin/requests")[1]
        for one in (*listed["running"], *listed["data"]):
            assert one["error"] is None, one
            if one["time_to_first_token"] is not None:
                return float(one["time_to_first_token"])
        assert codex.poll() is None, log.read_text(errors="replace")
        time.sleep(0.5)
    raise TimeoutError(log.read_text(errors="replace"))


@contextlib.contextmanager
def _played(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Run a server before the backend that plays what a prompt says."""
    helper = [sys.executable, "-m", "tests.clients.upstream"]
    with subprocess.Popen(helper, cwd=ROOT, stdout=subprocess.PIPE, text=True) as upstream:
        assert upstream.stdout is not None
        try:
            backend = upstream.stdout.readline().strip()
            with served(folder, "--backend", backend, "--store", "memory", *arguments, variables=variables) as server:
                yield server
        finally:
            upstream.kill()


def a2_the_recipe_for_codex(folder: Path) -> str:
    """The recipe of docs/agents.md, on an open server and on one with keys; then what it wrote is gone."""
    install(folder, "codex", CODEX)
    prompt = 'Which? <play>{"say": "noted"}</play>'
    talk = ["codex", "--profile", "antiphon", "exec", "--skip-git-repo-check", prompt]
    for arguments, key in (((), "any text"), (("--api-key", KEY), KEY)):
        with _played(folder, *arguments) as server:
            variables = {"ANTIPHON_API_KEY": key}
            antiphon(folder, "connect", "codex", "--write", "--url", f"{server.url}/v1", variables=variables)
            done = run(talk, folder, variables=variables)
            assert "noted" in done.stdout, done.stdout + done.stderr
            assert "metadata" not in done.stderr, done.stderr
            antiphon(folder, "connect", "codex", "--restore")
    assert not list((folder / ".codex").glob("antiphon*"))
    return "connect codex --write, codex --profile antiphon, on an open server and with a key"


def a3_the_models_own_window(folder: Path) -> str:
    """The settings of clients have the window that /v1/models tells; a narrow one is warned of."""
    install(folder, "codex", CODEX)
    with served(folder, "--store", "memory", settings=CARD) as server:
        for client in WINDOWS:
            text = antiphon(folder, "connect", client, "--url", f"{server.url}/v1", "--model", "scripted").stdout
            assert str(WINDOW) in text, f"{client}: {text}"
        text = antiphon(folder, "connect", "vscode", "--url", f"{server.url}/v1", "--model", "scripted").stdout
        assert '"vision": true' in text, text
        launch = ("launch", "codex", "--url", f"{server.url}/v1", "--model")
        wide = antiphon(folder, *launch, "scripted", "--", "--version")
        narrow = antiphon(folder, *launch, "narrow", "--", "--version")
    assert "window" not in wide.stderr, wide.stderr
    assert "narrow has a window of 8,192 tokens; agents need 32,768 or more" in narrow.stderr, narrow.stderr
    return f"{len(WINDOWS)} clients get {WINDOW:,} tokens; 8,192 are warned of"


def a7_connect_claude(folder: Path) -> str:
    """What `connect claude` prints for a shell starts Claude Code against a server with a key."""
    install(folder, "claude", CLAUDE)
    variables = {"ANTIPHON_API_KEY": KEY}
    with _played(folder, "--api-key", KEY) as server:
        command = ("connect", "claude", "--url", f"{server.url}/v1", "--model", "played")
        text = antiphon(folder, *command, variables=variables).stdout
        talk = """claude -p 'Which? <play>{"say": "noted"}</play>'"""
        done = run(["sh", "-c", f"{text.removesuffix('claude' + chr(10))}{talk}"], folder, variables=variables)
    assert done.stdout.strip() == "noted", done.stdout + done.stderr
    return "connect claude, pasted into a shell"


def a8_a_search_that_is_off(folder: Path) -> str:
    """A declared web_search that is off: in the log, in the header, in /admin/requests; one that is forced is a 400."""
    with _played(folder, "--web-search", "off") as server:
        client = server.client()
        body = {"model": "played", "input": "x", "tools": [{"type": "web_search"}]}
        status, headers = _headers(server, body)
        assert (status, headers.get("x-antiphon-ignored")) == (200, "web_search"), headers
        server.wait_for("hosted tool web_search: declared by a request, but off: it is switched off")
        assert client.get("/admin/requests")[1]["data"][0]["ignored"] == ["web_search"]
        for choice in ("required", {"type": "web_search"}):
            status, refused = client.post("/v1/responses", **body, tool_choice=choice)
            assert (status, refused["error"]["code"]) == (400, "tool_not_available"), refused
    with _played(folder, "--web-search", "off", variables={"ANTIPHON_UNSUPPORTED_PARAMETERS": "refuse"}) as server:
        status, refused = server.client().post("/v1/responses", **body)
        assert (status, refused["error"]["code"]) == (400, "tool_not_available"), refused
    return "log, header, /admin/requests; a forced one is refused, and each where a setting says so"


def _headers(server: Served, body: dict[str, object]) -> tuple[int, dict[str, str]]:
    import urllib.request

    asked = urllib.request.Request(
        f"{server.url}/v1/responses", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}


def a10_snippets_that_work_when_pasted(folder: Path) -> str:
    """Each printed snippet of a library, run as it is against a server with a key."""
    (folder / "node_modules").symlink_to(CLIENTS / "node_modules")
    variables = {"ANTIPHON_API_KEY": KEY}
    with served(folder, *SCRIPTED, "--store", "memory", "--api-key", KEY) as server:
        for client in (*PYTHON_SNIPPETS, *NODE_SNIPPETS, "curl"):
            text = antiphon(folder, "connect", client, "--url", f"{server.url}/v1", variables=variables).stdout
            assert KEY not in text, f"{client} prints the key"
            if client in PYTHON_SNIPPETS:
                command = [str(PYTHON), "-c", text]
            elif client == "curl":
                command = ["sh", "-c", text]
            else:
                file = folder / f"pasted-{client}.mjs"
                file.write_text(text)
                command = [str(NODE / "node"), str(file)]
            done = run(command, folder, variables=variables)
            assert "Hello." in done.stdout, f"{client}: {done.stdout}\n{done.stderr}"
            assert len(done.stdout) < 3000, f"{client} prints {len(done.stdout)} characters: {done.stdout[:1000]}"
    return f"{len(PYTHON_SNIPPETS)} of Python, {len(NODE_SNIPPETS)} of JavaScript and curl answer"


def a14_clients_that_connect_knows(folder: Path) -> str:
    """The list of `connect --help` has what people use, and each prints its settings without a server."""
    told = antiphon(folder, "connect", "--help").stdout
    missing = [name for name in WANTED if not re.search(rf"\s{re.escape(name)}\s", told)]
    assert not missing, missing
    for name in WANTED:
        text = antiphon(folder, "connect", name, "--url", "http://127.0.0.1:9/v1", "--model", "m").stdout
        assert "127.0.0.1:9" in text, f"{name}: {text}"
    return f"{len(WANTED)} clients"


def a15_what_is_not_offered(folder: Path) -> str:
    """Routes of OpenAI's that a backend does not have are refused by name, and none is an unknown path."""
    routes = ("embeddings", "moderations", "images/generations", "audio/speech", "completions", "rerank")
    with served(folder, *SCRIPTED, "--store", "memory") as server:
        client = server.client()
        fields = {"model": "scripted", "input": "x", "prompt": "x", "query": "x", "documents": ["x"], "voice": "v"}
        for route in routes:
            status, body = client.post(f"/v1/{route}", **fields)
            assert (status, body["error"]["code"]) == (400, "unsupported_model"), f"{route}: {body}"
            assert f"/v1/{route}" in body["error"]["message"], body
        assert client.post("/v1/vector_stores", name="x")[0] == 200
    return f"{len(routes)} routes name what the backend lacks; vector stores are the server's own"
