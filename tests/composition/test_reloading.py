"""Which backends a reload keeps: those that would be made of the same settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.backends.chat.codec import CodecOptions
from antiphon.backends.chat.profiles import Policies
from antiphon.backends.open import open_backends
from antiphon.composition.reloading import reopened
from antiphon.config import BackendConfig, Config, ModelConfig
from antiphon.errors import ConfigError
from tests.net.certificates import Authority

BEFORE = Config(
    backends={"a": BackendConfig(url="http://a/v1", profile="ours"), "b": BackendConfig(url="http://b/v1")},
    profiles={"ours": {"base": "vllm"}},
    models={"of-a": ModelConfig(backends=["a"]), "of-b": ModelConfig(backends=["b"])},
)


def changed(**settings: Any) -> set[str]:
    """Return the names of the backends that are opened anew for other settings."""
    backends = open_backends(BEFORE)
    after = reopened(BEFORE, msgspec.structs.replace(BEFORE, **settings), backends)
    return {name for name, backend in after.items() if backend is not backends.get(name)}


def with_model(id: str = "of-a", **settings: Any) -> dict[str, ModelConfig]:
    return {**BEFORE.models, id: msgspec.structs.replace(BEFORE.models[id], **settings)}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"retries": 3},
        {"models": with_model(temperature=0.5, extra_body={"top_k": msgspec.Raw(b"1")}, aliases=["x"])},
        {"profiles": {**BEFORE.profiles, "other": {}}},
    ],
)
def test_what_backends_do_not_know_keeps_them(settings: dict[str, Any]) -> None:
    assert changed(**settings) == set()


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"models": with_model(roles="merge")}, {"a"}),
        ({"models": with_model("of-b", think="off")}, {"b"}),
        ({"models": with_model(leaks=["hermes"])}, {"a"}),
        ({"models": with_model(name="other", roles="merge")}, {"a"}),
        ({"models": with_model(backends=["a", "b"])}, {"b"}),
        ({"profiles": {"ours": {"base": "sglang"}}}, {"a"}),
        ({"backends": {"a": BEFORE.backends["a"], "b": BackendConfig(url="http://c/v1")}}, {"b"}),
        ({"backends": {**BEFORE.backends, "c": BackendConfig(url="http://c/v1")}}, {"c"}),
    ],
)
def test_what_a_backend_knows_opens_it_anew(settings: dict[str, Any], names: set[str]) -> None:
    assert changed(**settings) == names


def test_no_setting_of_a_model_that_tells_how_it_is_spoken_to_is_forgotten() -> None:
    other = {"roles": "merge", "call_ids": "short", "strict_schema": "keep", "think": "off", "leaks": ["hermes"]}
    options = {*CodecOptions.__struct_fields__, *Policies.__struct_fields__}
    spoken = options & set(ModelConfig.__struct_fields__)
    assert spoken == set(other), "give the new setting another value here"
    for name in spoken:
        assert changed(models=with_model(**{name: other[name]})) == {"a"}


def test_renewed_certificates_open_a_backend_anew(tmp_path: Path) -> None:
    cert, key = map(str, Authority(tmp_path).sign("client"))
    secured = BackendConfig(url="https://b/v1", client_cert=cert, client_key=key)
    config = msgspec.structs.replace(BEFORE, backends={"a": BEFORE.backends["a"], "b": secured})
    backends = open_backends(config)
    assert reopened(config, config, backends) == backends
    Authority(tmp_path).sign("client")
    after = reopened(config, config, backends)
    assert after["a"] is backends["a"] and after["b"] is not backends["b"]
    assert reopened(config, config, after) == after
    Path(cert).write_text("no certificate")
    with pytest.raises(ConfigError, match=r"backends\.b\.client_cert"):
        reopened(config, config, after)
