"""`/v1/skills` over a real socket, by the client package of OpenAI and by hand: versions, defaults, owners, limits, refusals."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig
from antiphon.tools.containers.skills import Skills
from tests.server.serving import serving
from tests.server.whole import Client
from tests.tools.containers.bundles import island, linked, manifest, zipped

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = "memory" if request.param == "memory" else str(tmp_path_factory.mktemp("store") / "antiphon.db")
    keys = {name: KeyConfig(key=f"sk-{name}", owner=name) for name in ("ann", "bob")}
    backend = BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")
    config = Config(store=store, backends={"b": backend}, keys=keys)
    with serving(app.build(config), config) as served:
        yield served.url


@pytest.fixture
def ann(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="sk-ann", max_retries=0)


@pytest.fixture
def bob(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="sk-bob", max_retries=0)


def test_a_skill_and_its_versions(ann: OpenAI) -> None:
    skill = ann.skills.create(files=("rescue.zip", island()))
    assert (skill.object, skill.name, skill.default_version, skill.latest_version) == (
        "skill",
        "island-rescue",
        "1",
        "1",
    )
    assert skill.description == "How to be rescued from a lonely island" and skill.id.startswith("skill_")
    assert ann.skills.retrieve(skill.id) == skill
    folder = [("rescue/SKILL.md", manifest("rescue").encode()), ("rescue/scripts/wave.sh", b"echo")]
    second = ann.skills.versions.create(skill.id, files=folder)
    assert (second.version, second.name, second.skill_id, second.object) == ("2", "rescue", skill.id, "skill.version")
    known = ann.skills.retrieve(skill.id)
    assert (known.default_version, known.latest_version, known.name) == ("1", "2", "island-rescue")
    third = ann.skills.versions.create(skill.id, files=("a.zip", island(a="b")), default=True)
    assert ann.skills.retrieve(skill.id).default_version == third.version == "3"
    assert ann.skills.versions.retrieve("2", skill_id=skill.id) == second
    assert ann.skills.update(skill.id, default_version="2").name == "rescue"
    assert [one.version for one in ann.skills.versions.list(skill.id)] == ["3", "2", "1"]
    assert [one.version for one in ann.skills.versions.list(skill.id, order="asc", after=second.id)] == ["3"]
    assert [one.version for one in ann.skills.versions.list(skill.id, limit=1)] == ["3", "2", "1"]
    for content, name in (
        (ann.skills.content.retrieve(skill.id), "scripts/wave.sh"),
        (ann.skills.versions.content.retrieve("3", skill_id=skill.id), "a"),
        (ann.skills.versions.content.retrieve("latest", skill_id=skill.id), "a"),
    ):
        assert zipfile.ZipFile(io.BytesIO(content.read())).namelist() == ["SKILL.md", name]
    with pytest.raises(openai.BadRequestError, match="is the default"):
        ann.skills.versions.delete("2", skill_id=skill.id)
    gone = ann.skills.versions.delete("3", skill_id=skill.id)
    assert (gone.deleted, gone.version, gone.object) == (True, "3", "skill.version.deleted")
    assert ann.skills.retrieve(skill.id).latest_version == "2"
    with pytest.raises(openai.NotFoundError):
        ann.skills.versions.retrieve("3", skill_id=skill.id)
    ann.skills.versions.delete("1", skill_id=skill.id)
    assert ann.skills.versions.delete("2", skill_id=skill.id).deleted, "the last one takes the skill along"
    with pytest.raises(openai.NotFoundError):
        ann.skills.retrieve(skill.id)


def test_skills_in_pages_and_deleted(ann: OpenAI) -> None:
    made = [ann.skills.create(files=[("s/SKILL.md", manifest(f"s-{n}").encode())]) for n in range(5)]
    assert [one.name for one in ann.skills.list(limit=2)][:5] == [f"s-{n}" for n in (4, 3, 2, 1, 0)]
    assert [one.id for one in ann.skills.list(order="asc", after=made[2].id).data] == [made[3].id, made[4].id]
    for skill in made:
        assert ann.skills.delete(skill.id).object == "skill.deleted"
    assert ann.skills.list().data == []


def test_anothers_skill_is_absent(ann: OpenAI, bob: OpenAI) -> None:
    skill = ann.skills.create(files=("rescue.zip", island()))
    calls = [
        lambda: bob.skills.retrieve(skill.id),
        lambda: bob.skills.delete(skill.id),
        lambda: bob.skills.update(skill.id, default_version="1"),
        lambda: bob.skills.content.retrieve(skill.id),
        lambda: bob.skills.versions.create(skill.id, files=("rescue.zip", island())),
        lambda: bob.skills.versions.list(skill.id),
        lambda: bob.skills.versions.retrieve("1", skill_id=skill.id),
        lambda: bob.skills.versions.delete("1", skill_id=skill.id),
        lambda: bob.skills.versions.content.retrieve("1", skill_id=skill.id),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError):
            call()
    assert bob.skills.list().data == []
    ann.skills.delete(skill.id)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (("a.zip", linked()), "invalid_skill"),
        (("a.zip", zipped({"SKILL.md": manifest(), "../a": "x"})), "invalid_skill"),
        ([("SKILL.md", manifest().encode()), ("../../a", b"x")], "invalid_skill"),
        (("a.zip", zipped({"SKILL.md": manifest(), "zeros": bytes(33 << 20)})), "skill_too_large"),
        (("notes.txt", b"text"), "invalid_skill"),
    ],
)
def test_a_bundle_that_cannot_be_is_refused(ann: OpenAI, files: object, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ann.skills.create(files=files)  # type: ignore[arg-type]
    assert (refused.value.param, refused.value.code) == ("files", code)


def test_other_bodies_are_refused(url: str) -> None:
    client = Client(url, "sk-ann")
    status, error = client.post("/v1/skills", files="x")
    assert (status, error["error"]["param"]) == (400, "files")
    status, error = client.get("/v1/skills?after=skill_404")
    assert (status, error["error"]["param"]) == (400, "after")
    status, _ = client.get("/v1/skills?limit=0")
    assert status == 400


def test_an_owner_has_a_bounded_number(url: str, ann: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    skill = ann.skills.create(files=("rescue.zip", island()))
    monkeypatch.setattr(Skills, "most", 1)
    with pytest.raises(openai.RateLimitError, match="At most 1 skills"):
        ann.skills.create(files=("rescue.zip", island()))
    with pytest.raises(openai.RateLimitError, match="At most 1 versions"):
        ann.skills.versions.create(skill.id, files=("rescue.zip", island()))
    monkeypatch.undo()
    ann.skills.delete(skill.id)


def test_the_file_is_gone_from_the_disk_of_a_store(tmp_path: Path) -> None:
    """A skill that is deleted leaves nothing of its content in the file of the store."""
    store = tmp_path / "antiphon.db"
    backend = BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")
    config = Config(store=str(store), backends={"b": backend})
    with serving(app.build(config), config) as served:
        client = OpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0)
        secret = bytes(range(256)) * 16
        skill = client.skills.create(files=[("SKILL.md", manifest().encode()), ("secret.bin", secret)])
        kept = client.skills.content.retrieve(skill.id).read()
        assert kept[200:400] in b"".join(path.read_bytes() for path in tmp_path.iterdir())
        client.skills.delete(skill.id)
    assert kept[200:400] not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
