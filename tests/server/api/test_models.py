"""`/v1/models`, `/health`, `/ready`."""

from __future__ import annotations

import openai
import pytest

from antiphon import __version__
from antiphon.backends.base import BackendHealth, Capabilities, ModelCard, Route
from antiphon.core.loaded_models import HoldsModels, LoadedModels
from antiphon.server.api.health import Health
from antiphon.server.api.models import Models
from antiphon.server.asgi import AntiphonApp
from antiphon.server.auth.authenticator import authenticator, callers
from antiphon.server.http.router import RouteTable
from antiphon.stores.condition import Condition
from tests.server.handlers import call

CARDS = [
    ModelCard(
        id="hypernova-60b",
        created=1749600000,
        owned_by="acme",
        context_length=131072,
        parameters_number="60B",
        capabilities=Capabilities(audio=True),
        aliases=("gpt-nova", "team/nova"),
    ),
    ModelCard(
        id="org/plain:7b",
        capabilities=Capabilities(functions=False, images=False, structured_outputs=False, reasoning=False),
    ),
]


class Cards:
    """A Router that lists and resolves nothing."""

    def resolve(self, model: str) -> Route:
        raise NotImplementedError

    def cards(self) -> list[ModelCard]:
        return CARDS


class Holder:
    """A backend that loads one model of its two."""

    def state_of(self, model: str) -> str | None:
        return {"nova": "loaded", "idle": "not_loaded"}.get(model)

    def stop_model(self, model: str) -> str:
        return "not_loaded"

    def loaded_models(self) -> LoadedModels:
        return LoadedModels()


def holders(model: str) -> list[tuple[HoldsModels, str]]:
    return [(Holder(), "idle"), (Holder(), "nova")] if model == "hypernova-60b" else []


states: list[BackendHealth] = []
CONDITION = Condition("memory")


@pytest.fixture(scope="module")
def served():
    from tests.server.serving import serving

    models, health, router = Models(Cards(), holders), Health(lambda: states, CONDITION), RouteTable()
    router.add("GET", "/models", models.list)
    router.add("GET", "/models/{id:path}", models.read)
    router.add("GET", "/health", health.health, public=True)
    router.add("GET", "/ready", health.ready, public=True)
    with serving(AntiphonApp(router, authenticator(callers(["k"])))) as served:
        yield served


KEY = {"x-api-key": "k"}


def test_a_model_in_the_contracts_shape(served):
    (nova, plain) = call(served.url, "GET", "/v1/models", headers=KEY).json()["data"]
    assert nova == {
        "id": "hypernova-60b",
        "object": "model",
        "created": 1749600000,
        "owned_by": "acme",
        "parameters_number": "60B",
        "context_length": 131072,
        "type": "text_generation",
        "state": "loaded",
        "capabilities": {
            "supports_responses": True,
            "support_chat_completion": True,
            "supports_chat_completion": True,
            "supports_function_calling": True,
            "supports_image": True,
            "supports_audio": True,
        },
        "features": ["streaming", "tools", "structured_outputs", "reasoning", "vision", "audio"],
    }
    assert plain["features"] == ["streaming"] and plain["context_length"] is None
    assert plain["state"] is None, "a model of another server"
    assert not plain["capabilities"]["supports_function_calling"]


@pytest.mark.parametrize(
    "id", ["hypernova-60b", "org/plain:7b", "org%2Fplain%3A7b", "gpt-nova", "team/nova", "team%2Fnova"]
)
def test_reads_one_by_id_or_alias(served, id):
    model = call(served.url, "GET", f"/v1/models/{id}", headers=KEY).json()
    assert model["id"] == id.replace("%2F", "/").replace("%3A", ":") and model["object"] == "model"


def test_an_unknown_model_is_a_404(served):
    answer = call(served.url, "GET", "/v1/models/nobody", headers=KEY)
    assert answer.status == 404
    assert (answer.error()["code"], answer.error()["param"]) == ("model_not_found", "model")


def test_models_need_a_key(served):
    assert call(served.url, "GET", "/v1/models").status == 401


def test_the_official_client_reads_them(served):
    with openai.OpenAI(base_url=served.url + "/v1", api_key="k", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["hypernova-60b", "org/plain:7b"]
        assert client.models.retrieve("org/plain:7b").owned_by == "antiphon"
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.models.retrieve("nobody")


# What `model_catalog_json` must have (Codex's catalogue reader fails without any one of them).
CATALOGUE = (
    "slug display_name supported_reasoning_levels shell_type visibility supported_in_api priority support_verbosity "
    "truncation_policy experimental_supported_tools base_instructions"
).split()


def test_the_catalogue_for_codex(served):
    (nova, plain) = call(served.url, "GET", "/v1/models?client_version=0.169.0", headers=KEY).json()["models"]
    assert set(CATALOGUE) <= set(nova) and nova["slug"] == "hypernova-60b" and nova["context_window"] == 131072
    assert [level["effort"] for level in nova["supported_reasoning_levels"]] == ["low", "medium", "high"]
    assert plain["supported_reasoning_levels"] == [] and plain["input_modalities"] == ["text"]
    assert nova["priority"] < plain["priority"]


def test_health(served):
    assert call(served.url, "GET", "/health").json() == {"status": "ok", "version": __version__}


def test_ready_while_a_backend_is_up(served):
    states[:] = []
    assert call(served.url, "GET", "/ready").status == 503
    down = BackendHealth(name="a", up=False, models=0, outstanding=0, error="secret", waiting=2, circuit="open")
    up = BackendHealth(name="b", up=True, models=3, outstanding=1, error="")
    states[:] = [down, up]
    ready = call(served.url, "GET", "/ready")
    assert ready.status == 200
    a = {"name": "a", "up": False, "models": 0, "circuit": "open", "outstanding": 0, "waiting": 2}
    b = {"name": "b", "up": True, "models": 3, "circuit": "closed", "outstanding": 1, "waiting": 0}
    assert ready.json() == {"status": "ready", "store": {"up": True}, "backends": [a, b]}
    CONDITION.fail("full", "no room")
    unready = call(served.url, "GET", "/ready")
    assert (unready.status, unready.json()["store"]) == (503, {"up": False, "reason": "full"})
    CONDITION.recover()
    states[:] = [down]
    unready = call(served.url, "GET", "/ready")
    assert (unready.status, unready.headers["retry-after"]) == (503, "2")
    assert unready.json()["backends"] == [a]
