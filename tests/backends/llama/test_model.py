"""What is read off a GGUF file before llama.cpp sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.backends.llama.gguf import read_gguf
from antiphon.backends.llama.hub.progress import Progress
from antiphon.backends.llama.model import DEMO_FILE, EngineModel, find_model
from antiphon.config import EngineConfig
from antiphon.errors import ConfigError

from .gguf_files import Value, gguf
from .hub_server import hub

BASE: dict[str, Value] = {"general.architecture": "llama", "llama.context_length": 131072}


def model(folder: Path, name: str = "Some Model.gguf", **settings: object) -> EngineModel:
    return find_model(EngineConfig(model=str(folder / name), **settings))  # type: ignore[arg-type]


def write(folder: Path, metadata: dict[str, Value], name: str = "Some Model.gguf", **more: object) -> Path:
    (folder / name).write_bytes(gguf(BASE | metadata, **more))  # type: ignore[arg-type]
    return folder


def test_all_kinds_of_values_are_read_and_arrays_passed_over(tmp_path: Path) -> None:
    values: dict[str, Value] = {"a": ["x", "yz"], "b": [1, 2, 3], "c": True, "d": 2.5, "e": "text", "f": -1 + 2**40}
    (tmp_path / "m.gguf").write_bytes(gguf(values, [(2, 3), (4,)]))
    info = read_gguf(tmp_path / "m.gguf")
    assert info.metadata == {"c": True, "d": 2.5, "e": "text", "f": 2**40 - 1}
    assert info.parameters == 10


def test_the_demo_model() -> None:
    info = read_gguf(DEMO_FILE)
    assert info.text("tokenizer.ggml.model") == "gpt2"
    assert 1_000_000 < info.parameters < 20_000_000
    found = find_model(EngineConfig())
    assert found.card.id == "antiphon-demo" and found.demo
    assert found.card.capabilities.functions and found.card.capabilities.reasoning
    assert not found.card.capabilities.images
    assert found.card.context_length == info.number("qwen3.context_length")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is not a GGUF file"),
        (b"PK\x03\x04 a zip", "is not a GGUF file"),
        (b"GGUF", "damaged or incomplete"),
        (gguf(BASE, version=9), "damaged or incomplete"),
        (gguf(BASE | {"long": "x" * 100})[:-50], "damaged or incomplete"),
        (gguf(BASE | {"list": ["x"] * 9})[:-50], "damaged or incomplete"),
        (gguf(BASE, [(1, 2)])[:-1], "damaged or incomplete"),
        (gguf({"general.architecture": "clip"}), "contains no language model"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, data: bytes, complaint: str) -> None:
    (tmp_path / "Some Model.gguf").write_bytes(data)
    with pytest.raises(ConfigError, match=complaint):
        model(tmp_path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        model(tmp_path)
    (tmp_path / "Some Model.gguf").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        model(tmp_path)


@pytest.mark.parametrize(
    ("metadata", "name", "id"),
    [
        ({"general.name": "Qwen3 8B (Instruct)"}, "x.gguf", "qwen3-8b-instruct"),
        ({}, "Llama-3.2-1B.Q4_K_M.gguf", "llama-3.2-1b.q4_k_m"),
        ({}, "Big-00001-of-00003.gguf", "big"),
    ],
)
def test_the_id(tmp_path: Path, metadata: dict[str, Value], name: str, id: str) -> None:
    assert model(write(tmp_path, metadata, name), name).card.id == id


@pytest.mark.parametrize(
    ("own", "wanted", "context"), [(131072, 0, 8192), (2048, 0, 2048), (131072, 32768, 32768), (2048, 32768, 2048)]
)
def test_the_window(tmp_path: Path, own: int, wanted: int, context: int) -> None:
    found = model(write(tmp_path, {"llama.context_length": own}), context=wanted)
    assert (found.context, found.card.context_length) == (context, context)


@pytest.mark.parametrize(
    ("template", "functions", "reasoning"),
    [
        ("", False, False),
        ("{{ messages }}", False, False),
        ("{% if tools %}{% endif %}", True, False),
        ("{% if tools %}<think>{% endif %}", True, True),
    ],
)
def test_what_the_chat_template_allows(tmp_path: Path, template: str, functions: bool, reasoning: bool) -> None:
    able = model(write(tmp_path, {"tokenizer.chat_template": template})).card.capabilities
    assert (able.functions, able.reasoning) == (functions, reasoning)


def test_what_the_projector_allows(tmp_path: Path) -> None:
    write(tmp_path, {})
    (tmp_path / "p.gguf").write_bytes(gguf({"general.architecture": "clip", "clip.has_audio_encoder": True}))
    able = model(tmp_path, mmproj=str(tmp_path / "p.gguf")).card.capabilities
    assert able.images and able.audio
    assert not model(tmp_path).card.capabilities.images
    with pytest.raises(ConfigError, match="does not exist"):
        model(tmp_path, mmproj=str(tmp_path / "other.gguf"))


@pytest.mark.parametrize(
    ("metadata", "tensors", "size"),
    [
        ({"general.size_label": "8B"}, [(10,)], "8B"),
        ({}, [(1000, 2000), (829120,)], "2.8M"),
        ({}, [(70_000, 1_000_000), (553_000_000,)], "70B"),
        ({}, [(999,)], "999"),
        ({"split.count": 3}, [(1000, 2000)], None),
        ({}, [], None),
    ],
)
def test_the_size(tmp_path: Path, metadata: dict[str, Value], tensors: list[tuple[int, ...]], size: str | None) -> None:
    assert model(write(tmp_path, metadata, tensors=tensors)).card.parameters_number == size


def test_a_model_from_a_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"m-Q4_0.gguf": gguf(BASE), "mmproj-F16.gguf": gguf({"general.architecture": "clip"})}
    with hub("acme/Tiny", files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        found = find_model(EngineConfig(model="acme/Tiny:Q4_0", cache=str(tmp_path)))
    assert found.card.id == "acme/Tiny:Q4_0"
    assert found.path == tmp_path / "acme--Tiny" / "m-Q4_0.gguf"
    assert found.card.capabilities.images
    assert "m-Q4_0.gguf: 100 %" in capsys.readouterr().err


def test_progress_of_an_empty_file_is_no_division_by_zero(capsys: pytest.CaptureFixture[str]) -> None:
    Progress()("m.gguf", 0, 0)
    assert capsys.readouterr().err == "m.gguf: 0 % of 0 MB\n"
