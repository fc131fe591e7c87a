"""`antiphon doctor`, the real command against servers of the loopback: what it finds, and the settings it writes."""

from __future__ import annotations

import asyncio
import base64
import re
import sys
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from antiphon.cli.checks.clients import served
from antiphon.cli.checks.diagnosis import COLOURS, square
from antiphon.config.loading import load
from tests.cli.command import antiphon
from tests.cli.test_check import USAGE
from tests.net.upstream import Call, running

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

Json = dict[str, object]


def server(answer: Callable[[Call], Json | str], **listed: object) -> Callable[[Call], Awaitable[None]]:
    """Return a backend that answers with what a function says: a message, or why it refuses."""

    async def handle(call: Call) -> None:
        if call.path.endswith("/models"):
            await call.answer({"data": [{"id": "Org/Model-1", "object": "model", **listed}]})
            return
        said = answer(call)
        if isinstance(said, str):
            await call.answer({"error": {"message": said}}, 400)
        elif not call.json.get("stream"):
            await call.answer({"choices": [{"message": said, "finish_reason": "stop"}], "usage": USAGE})
        else:
            await call.start()
            await call.event({"choices": [{"index": 0, "delta": said}]})
            await call.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE})
            await call.event("[DONE]")
            await call.end()

    return handle


def able(call: Call) -> Json | str:
    """A model that can do everything, and thinks beside its answer."""
    if call.json.get("tools"):
        cities = ("Paris", "Rome") if "Rome" in str(call.json["messages"]) else ("Paris",)
        return {
            "tool_calls": [
                {
                    "index": index,
                    "id": f"c{index}",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": f'{{"city":"{city}"}}'},
                }
                for index, city in enumerate(cities)
            ]
        }
    text = '{"city":"Paris"}' if "response_format" in call.json else seen(call) or "Hi."
    return {"content": text, "reasoning_content": "Hm."}


def seen(call: Call) -> str:
    """Return the colour of the picture that is shown."""
    pictures = {base64.b64encode(square(64, colour)).decode(): name for name, colour in COLOURS.items()}
    shown = str(call.json["messages"])
    return next((f"{name.title()}." for picture, name in pictures.items() if picture in shown), "")


def limited(call: Call) -> Json | str:
    """A model that only talks, thinks aloud, and wants its system message first."""
    messages = call.json["messages"]
    if call.json.get("tools"):
        return "no tools here"
    if any(message["role"] == "system" for message in messages[1:]):
        return "System message must be at the beginning."
    if any(isinstance(message["content"], list) for message in messages):
        return "this model takes no images"
    return {"content": "<think>Well.</think>Hello."}


def signs(text: str) -> dict[str, str]:
    return {name.strip(): sign for sign, name in re.findall(r"^  ([✓✗–]) (.{1,14})", text, re.MULTILINE)}


async def test_a_capable_backend_is_described(tmp_path: Path) -> None:
    async with running(server(able, owned_by="vllm", max_model_len=32768)) as upstream:
        outcome = await antiphon(tmp_path, "doctor", f"gpu={upstream.url}", "--key", "hush")
    assert outcome.code == 0, outcome.err
    found = signs(outcome.err)
    names = "models answer streaming usage reasoning json_schema images".split()
    assert [found[name] for name in (*names, "tool call", "parallel calls", "context length", "system inside")] == [
        "✓"
    ] * 11
    assert found["inline thought"] == "–" and found["clients"] == "✓"
    assert "hush" not in outcome.out + outcome.err
    assert tomllib.loads(outcome.out) == {
        "backends": {"gpu": {"url": upstream.url, "key": "${GPU_KEY}", "profile": "vllm"}},
        "models": {
            "Org/Model-1": {
                "backends": ["gpu"],
                "context_length": 32768,
                "functions": True,
                "images": True,
                "structured_outputs": True,
                "reasoning": True,
            }
        },
    }


@pytest.mark.parametrize(
    ("tools", "window", "ok", "words"),
    [
        (True, 32768, True, "Claude Code"),
        (True, None, True, "with a window of 24,576 tokens"),
        (True, 16384, None, "Claude Code --bare; not Claude Code: it needs a window of 24,576 tokens"),
        (True, 4096, None, "agents; not Claude Code --bare: it needs a window of 8,192 tokens"),
        (False, 131072, None, "chat; not Codex, opencode and other agents: it needs tool calls"),
    ],
)
def test_which_clients_a_model_can_serve(tools: bool, window: int | None, ok: bool | None, words: str) -> None:
    found = served(tools, window)
    assert found.ok is ok and found.note.endswith(words)


async def test_what_a_model_cannot_do_and_how_it_wants_to_be_spoken_to_is_written(tmp_path: Path) -> None:
    async with running(server(limited)) as upstream:
        outcome = await antiphon(tmp_path, "doctor", upstream.url, "--write", "found.toml")
        assert (outcome.code, outcome.out) == (0, ""), outcome.err
        again = await antiphon(tmp_path, "doctor", upstream.url, "--write", "found.toml")
    assert again.code == 2 and "found.toml: cannot be written" in again.err
    assert 'roles = "merge-first"' in outcome.err
    config = load({"config": str(tmp_path / "found.toml")}, {"HOME": str(tmp_path)}).config
    model = config.models["Org/Model-1"]
    assert (model.functions, model.images, model.structured_outputs, model.reasoning) == (False, False, False, True)
    assert (model.roles, model.think, model.context_length) == ("merge-first", "auto", None)
    assert [one.url for one in config.backends.values()] == [upstream.url]


@pytest.mark.parametrize(
    ("cached", "sign", "words"), [(2, "✓", "2 of 3 tokens"), (0, "–", "--enable-prompt-tokens-details")]
)
async def test_whether_a_repeated_prompt_is_read_from_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: int, sign: str, words: str
) -> None:
    monkeypatch.setitem(USAGE, "prompt_tokens_details", {"cached_tokens": cached})
    _, err = await written(tmp_path, able)
    assert signs(err)["prompt cache"] == sign and words in err


async def test_thoughts_that_the_template_opened_are_seen(tmp_path: Path) -> None:
    async with running(server(lambda call: {"content": "Well.</think>Hello."})) as upstream:
        outcome = await antiphon(tmp_path, "doctor", upstream.url)
    assert tomllib.loads(outcome.out)["models"]["Org/Model-1"]["think"] == "opened"


async def written(tmp_path: Path, answer: Callable[[Call], Json | str], **listed: object) -> tuple[str, str]:
    """Return the settings that are printed, and the findings."""
    async with running(server(answer, **listed)) as upstream:
        outcome = await antiphon(tmp_path, "doctor", f"gpu={upstream.url}")
    assert outcome.code == 0, outcome.err
    return outcome.out, outcome.err


async def test_what_the_samples_do_not_agree_on_is_a_comment(tmp_path: Path) -> None:
    asked = iter(range(1000))

    def moody(call: Call) -> Json | str:
        if call.json.get("tools") and "tool_choice" not in call.json:
            return able(call) if next(asked) % 2 else {"content": "Sunny."}
        if "image_url" in str(call.json):
            return {"content": "Red."}
        return able(call)

    out, err = await written(tmp_path, moody)
    assert "# functions = false  # not sure: 1 of 3 times; else: it did not call" in out
    assert "# images = false  # not sure: 1 of 3 times; else: taken, but it did not see that it was green" in out
    assert signs(err)["images"] == "✗"
    model = tomllib.loads(out)["models"]["Org/Model-1"]
    assert model["structured_outputs"] is True and not {"functions", "images"} & model.keys()


async def test_what_a_server_ignores_is_found_out(tmp_path: Path) -> None:
    """A server that takes forced calls, formats and pictures without a word, and does nothing about them."""

    def deaf(call: Call) -> Json | str:
        if call.json.get("tools") and "weather" in str(call.json["messages"]) and "tool_choice" not in call.json:
            return able(call)
        return {"content": "I am a small model."}

    out, err = await written(tmp_path, deaf)
    found = signs(err)
    assert [found[name] for name in ("tool call", "forced call", "json_schema", "images")] == ["✓", "✗", "✗", "✗"]
    model = tomllib.loads(out)["models"]["Org/Model-1"]
    assert (model["functions"], model["images"], model["structured_outputs"]) == (True, False, False)


async def test_thoughts_that_an_effort_switches_on_are_seen(tmp_path: Path) -> None:
    def switched(call: Call) -> Json | str:
        on = call.json.get("chat_template_kwargs", {}).get("enable_thinking")
        return {"content": "42, then.\n</think>\n\n42." if on else "42."}

    out, err = await written(tmp_path, switched, owned_by="vllm")
    assert "seen where an effort is asked for" in err
    assert tomllib.loads(out)["models"]["Org/Model-1"]["think"] == "opened"


async def test_what_refusals_teach_is_written_down(tmp_path: Path) -> None:
    def strict(call: Call) -> Json | str:
        if not call.json.get("stream"):
            return "This model only support stream mode"
        if "tool_choice" in call.json:
            return "tool_choice is not supported in thinking mode"
        if call.json.get("reasoning_effort") not in (None, "none", "default"):
            return "reasoning_effort must be one of `none` or `default`"
        if "max_tokens" in call.json:
            return "'max_tokens' is not supported. Use 'max_completion_tokens' instead."
        return able(call)

    out, err = await written(tmp_path, strict)
    assert signs(err)["learned"] == "–" and 'stream = "always"' in err
    settings = tomllib.loads(out)
    model = settings["models"]["Org/Model-1"]
    assert (model["stream"], model["drop"], model["efforts"]) == ("always", ["tool_choice"], ["none", "default"])
    assert settings["backends"]["gpu"]["profile"] == "gpu-generic"
    assert settings["profiles"]["gpu-generic"] == {"base": "generic", "max_tokens": "max_completion_tokens"}
    (tmp_path / "found.toml").write_text(out.replace("${GPU_KEY}", "k"))
    load({"config": str(tmp_path / "found.toml")}, {"HOME": str(tmp_path)})


async def test_an_answer_that_is_all_thoughts_is_told(tmp_path: Path) -> None:
    out, err = await written(tmp_path, lambda call: {"content": None, "reasoning_content": '{"city":"Paris"}'})
    assert signs(err)["streaming"] == signs(err)["json_schema"] == "✗"
    assert err.count("--reasoning-parser") >= 2
    assert tomllib.loads(out)["models"]["Org/Model-1"]["structured_outputs"] is False


async def test_errors_are_told_on_one_line(tmp_path: Path) -> None:
    def wordy(call: Call) -> Json | str:
        return "no tools here\n\n" + "word " * 500 if call.json.get("tools") else {"content": "Hi."}

    _, err = await written(tmp_path, wordy)
    assert max(map(len, err.splitlines())) < 360


async def test_a_backend_of_the_configuration_and_a_model_of_choice(tmp_path: Path) -> None:
    async with running(server(able)) as upstream:
        (tmp_path / "antiphon.toml").write_text(f'[backends.mine]\nurl = "{upstream.url}"\n')
        outcome = await antiphon(tmp_path, "doctor", "mine", "--model", "other")
        asked = {call.json["model"] for call in upstream.calls if call.body}
    assert (outcome.code, asked) == (0, {"other"})
    assert list(tomllib.loads(outcome.out)["models"]) == ["other"]
    unknown = await antiphon(tmp_path, "doctor", "yours")
    assert unknown.code == 2 and "Unknown backend 'yours'. Configured: mine" in unknown.err


async def test_a_backend_that_is_down_has_no_settings(tmp_path: Path) -> None:
    outcome = await antiphon(tmp_path, "doctor", "http://127.0.0.1:9/v1")
    assert (outcome.code, outcome.out) == (1, "")
    assert signs(outcome.err) == {"models": "✗"}


async def test_a_model_that_refuses_everything_has_no_settings(tmp_path: Path) -> None:
    async with running(server(lambda call: "not today")) as upstream:
        outcome = await antiphon(tmp_path, "doctor", upstream.url)
    assert (outcome.code, outcome.out) == (1, "")
    assert signs(outcome.err) == {"models": "✓", "answer": "✗"}


async def test_the_backend_of_the_client_scenarios_is_examined(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.clients.upstream", "0"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        outcome = await antiphon(tmp_path, "doctor", url, "--model", "capable")
    finally:
        process.kill()
        await process.communicate()
    assert outcome.code == 0, outcome.err
    model = tomllib.loads(outcome.out)["models"]["capable"]
    assert (model["functions"], model["structured_outputs"], model["context_length"]) == (True, True, 131072)


def relaying(item: Json) -> Callable[[Call], Awaitable[None]]:
    """Return a backend that speaks Responses, as llama.cpp does: without places and numbers."""

    async def handle(call: Call) -> None:
        if call.path.endswith("/models"):
            await call.answer({"data": [{"id": "m", "object": "model"}]})
            return
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        await call.start()
        await call.event({"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Hi."})
        await call.event({"type": "response.output_item.done", "item": item})
        await call.event({"type": "response.completed", "response": {"output": [item], "usage": usage}})
        await call.end()

    return handle


async def test_a_responses_backend_is_read_as_the_server_reads_it(tmp_path: Path) -> None:
    parts = [{"type": "output_text", "text": "Hi."}]
    async with running(relaying({"type": "message", "id": "msg_1", "content": parts})) as upstream:
        good = await antiphon(tmp_path, "doctor", upstream.url, "--api", "responses")
    async with running(relaying({"type": "message", "id": "msg_1", "content": 5})) as upstream:
        bad = await antiphon(tmp_path, "doctor", upstream.url, "--api", "responses")
    found = signs(good.err)
    assert [found[name] for name in ("answer", "streaming", "usage")] == ["✓"] * 3, good.err
    assert (bad.code, signs(bad.err)["answer"]) == (1, "✗"), bad.err
    assert "the 'content' of its message has the wrong type" in bad.err


async def test_how_a_backend_is_reached_stands_in_its_settings(tmp_path: Path) -> None:
    async def handle(call: Call) -> None:
        call.path, _, query = call.path.partition("?")
        assert query == "api-version=1&code=hush-hush"
        await server(able)(call)

    async with running(handle) as backend:
        (tmp_path / "antiphon.toml").write_text(
            f'[backends.azure]\nurl = "{backend.url}/d?api-version=1&code=hush-hush"\nkey = "k"\nkey_header = "api-key"\n'
            'proxy = "none"\n'
        )
        found = await antiphon(tmp_path, "doctor", "azure", HTTP_PROXY="http://nobody.invalid:1")
        assert found.code == 0, found.err
    settings = tomllib.loads(found.out)["backends"]["azure"]
    assert (settings["key_header"], settings["proxy"]) == ("api-key", "none")
    assert settings["url"].endswith("/d?api-version=1&code=***") and "hush-hush" not in found.out + found.err
    assert all(call.headers["api-key"] == "k" for call in backend.calls)


@pytest.mark.parametrize("name", ["", "near="])
async def test_a_backend_on_a_unix_socket(name: str, tmp_path: Path) -> None:
    socket = str(tmp_path / "s")
    async with running(server(able), socket):
        found = await antiphon(tmp_path, "doctor", f"{name}unix:{socket}:/v1")
        assert found.code == 0, found.err
    (settings,) = tomllib.loads(found.out)["backends"].values()
    assert settings["url"] == f"unix:{socket}:/v1"
