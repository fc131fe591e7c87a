"""Profiles of the configuration: made from a known one, refused where they are wrong, used by backends."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.chat.profiles import PROFILES, Policies, Profile, configured_profiles, find, suited
from antiphon.backends.open import open_backends
from antiphon.config import BackendConfig, Config
from antiphon.config.loading import load
from antiphon.core.text.leaks import CHANNELS
from antiphon.errors import ConfigError

OURS = {"ours": {"base": "vllm", "max_tokens": "max_completion_tokens", "leaks": ["hermes"], "forward": ["user"]}}


def test_a_profile_is_its_base_with_other_fields() -> None:
    ours = configured_profiles(OURS)["ours"]
    assert ours == msgspec.structs.replace(
        PROFILES["vllm"],
        name="ours",
        base="vllm",
        max_tokens="max_completion_tokens",
        leaks=("hermes",),
        forward=frozenset(("user",)),
    )
    assert (ours.kind, PROFILES["vllm"].kind) == ("vllm", "vllm")
    assert configured_profiles({"plain": {}})["plain"].kind == "generic"


def test_it_is_found_by_its_name_alone() -> None:
    known = configured_profiles(OURS)
    assert find("ours", configured=known) is known["ours"]
    assert find("auto", "http://h:11434", configured=known) is PROFILES["ollama"]
    assert find("ours") is None


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"vllm": {}}, "profiles.vllm: 'vllm' is a built-in profile; choose another name"),
        ({"auto": {}}, "profiles.auto: 'auto' is a built-in profile"),
        ({"a": {"base": "vlm"}}, "profiles.a.base: unknown profile 'vlm'; did you mean 'vllm'?"),
        ({"a": {"leak": []}}, "unknown setting 'profiles.a.leak'; did you mean 'leaks'?"),
        ({"a": {"name": "b"}}, "unknown setting 'profiles.a.name'"),
        ({"a": {"effort": "none at all"}}, "profiles.a.effort: expected one of reasoning_effort, "),
        ({"a": {"strict": "yes"}}, "profiles.a.strict: expected bool, got str"),
        ({"a b": {"leaks": [5]}}, 'profiles."a b".leaks: '),
    ],
)
def test_a_wrong_profile_is_named_with_its_field(tables: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        configured_profiles(tables)


async def test_the_file_gives_a_backend_its_profile(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text(
        "[profiles.ours]\nbase = 'mistral'\nstream_usage = true\n[backends.a]\nurl = 'http://h/v1'\nprofile = 'ours'\n"
    )
    config = load({}, {"HOME": str(tmp_path)}, tmp_path).config
    (backend,) = open_backends(config).values()
    assert isinstance(backend, ChatBackend)
    assert backend.profile == msgspec.structs.replace(
        PROFILES["mistral"], name="ours", base="mistral", stream_usage=True
    )
    await backend.close()


def test_an_unknown_profile_has_its_nearest_name() -> None:
    config = Config(backends={"a": BackendConfig(url="http://h/v1", profile="our")}, profiles=OURS)
    with pytest.raises(ConfigError, match=r"backends\.a\.profile: unknown profile 'our'; did you mean 'ours'\?"):
        open_backends(config)


def test_the_page_names_every_field_and_every_known_profile() -> None:
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    section = page.partition("## Profiles")[2].partition("\n## ")[0]
    fields = {field.name for field in msgspec.structs.fields(Profile)} - {"name"}
    assert not {*fields, *PROFILES} - set(re.findall(r"[`\n]([\w-]+)[` ]", section))


@pytest.mark.parametrize(
    ("profile", "model", "reads"),
    [
        ("vllm", "openai/gpt-oss-120b", True),
        ("groq", "GPT-OSS-20B", True),
        ("ollama", "gpt-oss:20b", True),
        ("openai", "gpt-oss-120b", False),
        ("vllm", "qwen3", False),
    ],
)
def test_channels_are_read_of_the_models_that_write_them(profile: str, model: str, reads: bool) -> None:
    found = suited(PROFILES[profile], Policies(), model)
    assert (CHANNELS in found.leaks) is reads
    assert found.leaks[: len(PROFILES[profile].leaks)] == PROFILES[profile].leaks
