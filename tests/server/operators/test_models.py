"""`/admin/models`: backends and models as the operator sees them, without secrets."""

from __future__ import annotations

from pathlib import Path

from antiphon.config import BackendConfig, ModelConfig
from tests.server.operators.test_keys import done, server


def test_backends_and_models_with_their_state(tmp_path: Path) -> None:
    models = {
        "dear": ModelConfig(name="scripted", backends=["scripted"], price_input=2.0, aliases=["d"], fallbacks=["x"])
    }
    with server(tmp_path, models=models) as url:
        found = done(url, "GET", "/admin/models")
        by_id = {one["id"]: one for one in found["data"]}
        assert by_id["dear"]["configured"] and not by_id["scripted"]["configured"]
        assert by_id["dear"]["endpoints"] == [{"backend": "scripted", "name": "scripted"}]
        assert (by_id["dear"]["prices"]["input"], by_id["dear"]["aliases"], by_id["dear"]["fallbacks"]) == (
            2.0,
            ["d"],
            ["x"],
        )
        (backend,) = found["backends"]
        assert (backend["name"], backend["up"], backend["api"]) == ("scripted", True, "scripted")
        assert backend["address"] == "http://127.0.0.1:9"


def test_no_secret_of_a_backend_is_shown(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/secret-path/v1?api-key=secret-query"
    with server(tmp_path, backends_more={"b": BackendConfig(url=url, key="secret-key", discover=False)}) as address:
        assert "secret" not in str(done(address, "GET", "/admin/models"))
