"""Skills in containers, with a real sandbox: told to the model, read by commands and code, kept with their container."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.server.coder import KEYS, Coder
from tests.server.test_shell import Operator, calls, exited, outputs, run
from tests.server.whole import Client, Json, upstream, whole_server
from tests.tools.containers.bundles import island, linked, manifest, zipped

pytestmark = [pytest.mark.slow, pytest.mark.needs("bwrap")]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    with upstream(Operator) as url, whole_server(url, store=str(store), keys=KEYS) as client:
        yield Client(client.url, "sk-ann")


@pytest.fixture(scope="module")
def skill(client: Client) -> str:
    files = [("rescue/SKILL.md", manifest().encode()), ("rescue/bin/wave", b"#!/bin/sh\necho waved")]
    return OpenAI(base_url=f"{client.url}/v1", api_key="sk-ann").skills.create(files=files).id


def inline(bundle: bytes, name: str = "inline-one", description: str = "Says\n hello") -> Json:
    source = {"type": "base64", "media_type": "application/zip", "data": base64.b64encode(bundle).decode()}
    return {"type": "inline", "name": name, "description": description, "source": source}


def shell(*skills: Json, **fields: Any) -> Json:
    return {"type": "shell", "environment": {"type": "container_auto", "skills": list(skills), **fields}}


def told() -> str:
    """Return what the model was told as a system's text."""
    return "\n".join(one["content"] for one in Operator.asked[0]["messages"] if one["role"] == "system")


def test_a_skill_is_told_to_the_model_and_lies_in_its_folder(client: Client, skill: str) -> None:
    Operator.asked.clear()
    response = run(client, "ls /home/oai/skills/*", tools=[shell({"type": "skill_reference", "skill_id": skill})])
    (line,) = [line for line in told().splitlines() if line.startswith("- ")]
    head, _, path = line.removesuffix(")").partition(" (file: ")
    assert head == "- island-rescue: How to be rescued from a lonely island"
    assert path.startswith("/home/oai/skills/island-rescue-") and path.endswith("/SKILL.md")
    folder = path.removesuffix("/SKILL.md")
    assert outputs(response)[0][0]["stdout"].split() == ["SKILL.md", "bin"]
    reading = f"sed -n 1,200p {path}\nls -R {folder}"
    second = run(client, reading, previous_response_id=response["id"], tools=[shell()])
    assert outputs(second) == [[exited(manifest()), exited(f"{folder}:\nSKILL.md\nbin\n\n{folder}/bin:\nwave\n")]]
    assert {call["environment"]["container_id"] for one in (response, second) for call in calls(one)} == {
        calls(response)[0]["environment"]["container_id"]
    }


def test_a_skill_comes_with_the_request(client: Client) -> None:
    bundle = zipped({"x/SKILL.md": manifest(), "x/run": "#!/bin/sh\necho ran"}, 0o100755)
    Operator.asked.clear()
    tool = shell(inline(bundle))
    response = run(client, "/home/oai/skills/inline-one-*/run", tools=[tool])
    assert outputs(response) == [[exited("ran\n")]]
    assert "- inline-one: Says hello (file: /home/oai/skills/inline-one-" in told()
    # Its bundle is not repeated.
    assert response["tools"][0]["environment"]["skills"][0]["source"]["data"] == "<redacted>"
    assert client.get(f"/v1/responses/{response['id']}")[1]["tools"] == response["tools"]


def test_what_a_skill_brings_is_no_file_of_the_container(client: Client, skill: str) -> None:
    response = run(client, "ls", tools=[shell({"type": "skill_reference", "skill_id": skill, "version": 1})])
    assert outputs(response) == [[exited()]]
    id = calls(response)[0]["environment"]["container_id"]
    assert client.get(f"/v1/containers/{id}/files")[1]["data"] == []


def test_a_container_with_skills_by_its_route(client: Client, skill: str) -> None:
    skills = [{"type": "skill_reference", "skill_id": skill, "version": "latest"}, inline(island())]
    status, made = client.post("/v1/containers", name="skilled", skills=skills)
    assert status == 200
    Operator.asked.clear()
    tool = {"type": "shell", "environment": {"type": "container_reference", "container_id": made["id"]}}
    response = run(client, "ls /home/oai/skills | wc -l", tools=[tool])
    assert outputs(response) == [[exited("2\n")]]
    assert "- island-rescue: " in told() and "- inline-one: " in told()


class Reader(Coder):
    """Runs cells of Python."""

    asked = []  # noqa: RUF012 (as in its parent)


def test_code_has_skills_too_and_keeps_them_over_a_restart(tmp_path: Path) -> None:
    store = str(tmp_path / "antiphon.db")
    tool = {"type": "code_interpreter", "container": {"type": "auto", "skills": [inline(island(a="kept"))]}}
    cell = "import glob; open(glob.glob('/home/oai/skills/inline-one-*/a')[0]).read()"
    fields = {"model": "m", "input": cell, "include": ["code_interpreter_call.outputs"]}
    with upstream(Reader) as url:
        with whole_server(url, store=store) as client:
            first = client.create(**fields, tools=[tool])
        with whole_server(url, store=store) as client:
            bare = {"type": "code_interpreter", "container": {"type": "auto"}}
            second = client.create(**fields, tools=[bare], previous_response_id=first["id"])
    assert "- inline-one: Says hello" in json.dumps(Reader.asked[0]["messages"])
    logs = [one["outputs"][0]["logs"] for response in (first, second) for one in response["output"][:1]]
    assert logs[0] == "'kept'" and logs[1].startswith("'kept'\n[The container was started anew")


def test_skills_of_the_clients_own_shell_are_told(client: Client) -> None:
    local = {"name": "mine", "description": "My\nown", "path": "/opt/skills/mine"}
    Operator.asked.clear()
    tool = {"type": "shell", "environment": {"type": "local", "skills": [local]}}
    response = run(client, "ls", tools=[tool])
    assert [item["type"] for item in response["output"]] == ["shell_call"]
    assert "- mine: My own (file: /opt/skills/mine/SKILL.md)" in told()
    status, error = client.post(
        "/v1/responses", model="m", input="x", tools=[{**tool, "environment": {"type": "local", "skills": [{}]}}]
    )
    assert (status, error["error"]["param"]) == (400, "tools[0].environment.skills[0].name")


REFUSED: dict[str, tuple[Json, int, str]] = {
    "unknown": ({"type": "skill_reference", "skill_id": "skill_404"}, 404, "[0].skill_id"),
    "no zip": (inline(b"PK text"), 400, "[0].source.data"),
    "a link": (inline(linked()), 400, "[0].source.data"),
    "a bomb": (inline(zipped({"SKILL.md": manifest(), "zeros": bytes(33 << 20)})), 400, "[0].source.data"),
    "a name that is a path": (inline(island(), name="../a"), 400, "[0]"),
    "no kind": ({"type": "other"}, 400, "[0].type"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_skill_that_cannot_be_is_refused(client: Client, case: str) -> None:
    declared, status, param = REFUSED[case]
    found, error = client.post("/v1/responses", model="m", input="ls", tools=[shell(declared)], stream=True)
    assert (found, error["error"]["param"]) == (status, f"tools[0].environment.skills{param}")


def test_versions_and_other_owners(client: Client, skill: str) -> None:
    bob = Client(client.url, "sk-bob")
    for reference, who, status in (
        ({"type": "skill_reference", "skill_id": skill}, bob, 404),
        ({"type": "skill_reference", "skill_id": skill, "version": "9"}, client, 404),
        ({"type": "skill_reference", "skill_id": skill, "version": "x"}, client, 404),
    ):
        found, error = who.post("/v1/responses", model="m", input="ls", tools=[shell(reference)])
        assert (found, error["error"]["param"]) == (status, "tools[0].environment.skills[0].skill_id")
        assert who.post("/v1/containers", name="a", skills=[reference])[0] == status
    many = [{"type": "skill_reference", "skill_id": skill}] * 201
    found, error = client.post("/v1/responses", model="m", input="ls", tools=[shell(*many)])
    assert (found, error["error"]["param"]) == (400, "tools[0].environment.skills")
