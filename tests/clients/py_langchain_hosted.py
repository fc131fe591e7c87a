"""langchain-openai's built-in tools, as its documentation uses them: in every output version, streamed and not, sent back."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI

from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same, scenario

VERSIONS = ("responses/v1", "v1")
client = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)


def model(version: str, **options: Any) -> Any:
    return ChatOpenAI(
        model=MODEL,
        base_url=BASE_URL,
        api_key=API_KEY,  # type: ignore[arg-type]  # a key as a text is taken, too
        use_responses_api=True,
        max_retries=0,
        output_version=version,
        **options,
    )


def answers(tool: dict[str, Any], *steps: dict[str, Any], **options: Any) -> Iterator[AIMessage]:
    """Yield what a script gives with a tool; each answer can be sent back, and be gone on from."""
    for version in VERSIONS:
        llm = model(version, **options).bind_tools([tool])
        given = [HumanMessage(play("go", *steps))]
        whole: Any = None
        for chunk in llm.stream(given):
            whole = chunk if whole is None else whole + chunk
        for answer in (llm.invoke(given), whole):
            yield answer
            later = HumanMessage(play("and?", {"say": "U{{users}}"}))
            same(llm.invoke([*given, answer, later]).text, "U2")
            id = answer.response_metadata["id"]
            same(llm.invoke([later], previous_response_id=id).text, "U2")


def items(answer: AIMessage, kind: str) -> list[Any]:
    """Return the items of a kind, which `responses/v1` has as they came; the standard blocks have what they know of one."""
    content: list[Any] = answer.content if isinstance(answer.content, list) else []
    found = [block for block in content if block["type"] == kind]
    called = [block for block in content if block["type"] in ("server_tool_call", "server_tool_result", "image")]
    same((len(found), len(called) > 0), (1, False) if found else (0, True))
    return found


def notes(answer: AIMessage) -> list[Any]:
    return [note for block in answer.content_blocks for note in block.get("annotations") or ()]


def web_search() -> None:
    steps = [{"call": [["web_search", {"queries": ["fund"]}]]}, {"say": "It lapsed 【1】."}]
    for answer in answers({"type": "web_search"}, *steps, include=["web_search_call.action.sources"]):
        (note,) = notes(answer)
        same((note["type"], note["title"]), ("citation", "Lapse & relapse"))
        has(answer.text[note["start_index"] : note["end_index"]], note["url"])
        if call := items(answer, "web_search_call"):
            same(len(call[0]["action"]["sources"]), 2)
    filtered = {"type": "web_search", "filters": {"allowed_domains": ["example.org"]}, "search_context_size": "low"}
    same([notes(answer) for answer in answers(filtered, *steps)], [[]] * 4)
    for answer in answers({"type": "web_search_preview"}, *steps):
        same(len(notes(answer)), 1)


def file_search() -> None:
    file = client.files.create(file=("deep.txt", b"Deep research by model."), purpose="assistants")
    store = client.vector_stores.create(name="s")
    client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    steps = [{"call": [["file_search", {"queries": ["deep research"]}]]}, {"say": "It is 【1】."}]
    tool = {"type": "file_search", "vector_store_ids": [store.id]}
    for answer in answers(tool, *steps, include=["file_search_call.results"]):
        (note,) = notes(answer)
        same((note["title"], answer.text), ("deep.txt", "It is ."))
        if call := items(answer, "file_search_call"):
            same(call[0]["results"][0]["file_id"], file.id)


def code_interpreter() -> None:
    code = "open('/mnt/data/a.txt', 'w').write('a')\n3 ** 3"
    steps = [{"call": [["python", {"code": code}]]}, {"say": "{{tool.0}} [a](sandbox:/mnt/data/a.txt)"}]
    container = client.containers.create(name="mine")
    for where in ({"type": "auto"}, container.id):
        tool = {"type": "code_interpreter", "container": where}
        for answer in answers(tool, *steps, include=["code_interpreter_call.outputs"]):
            has(answer.text, "27")
            same(len(notes(answer)), 1)
            if call := items(answer, "code_interpreter_call"):
                same((call[0]["code"], call[0]["status"]), (code, "completed"))
                has(call[0]["outputs"][0]["logs"], "27")


def image_generation() -> None:
    steps = [{"call": [["image_generation", {"prompt": "a cat"}]]}, {"say": "Drawn."}]
    for answer in answers({"type": "image_generation", "quality": "low"}, *steps):
        pictures = [block for block in answer.content_blocks if block["type"] == "image"]
        same((len(pictures), answer.text), (1, "Drawn."))
        same(base64.b64decode(pictures[0]["base64"])[:4], b"\x89PNG")


def everything() -> None:
    for part in (web_search, file_search, code_interpreter, image_generation):
        part()


scenario(everything)
