"""Which models there are, and which endpoint is called."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from antiphon.backends.base import BackendModel
from antiphon.backends.open import open_backend
from antiphon.backends.routing import registry as module
from antiphon.backends.routing.registry import Registry
from antiphon.config import BackendConfig, ModelConfig
from antiphon.errors import APIError, ConfigError, InvalidRequest
from tests.backends.routing.puppets import Puppet, ids, started
from tests.backends.turns import read_all, text_of, turn
from tests.net.upstream import running, until


def in_chat(registry: Registry) -> dict[str, bool]:
    return {card.id: card.capabilities.chat_completions for card in registry.cards()}


@pytest.mark.parametrize(("api", "relays"), [("chat", True), ("responses", False), ("scripted", False)])
async def test_models_tell_whether_they_can_be_called_through_chat_completions(api: str, relays: bool) -> None:
    """All can, unless the settings say otherwise; what is not passed on as it is, is translated."""
    listing = {"data": [{"id": "theirs"}]}
    async with running(lambda call: call.answer(listing)) as upstream:
        url = f"http://127.0.0.1:{upstream.port}/v1"
        settings = {"a": BackendConfig(url=url, api=api), "quiet": BackendConfig(url=url, api=api)}
        backends = {name: open_backend(name, config) for name, config in settings.items()}
        models = {
            "listed": ModelConfig(name="scripted" if api == "scripted" else "theirs"),
            "quiet": ModelConfig(backends=["quiet"]),
            "no": ModelConfig(chat_completions=False),
        }
        registry = Registry(models, backends, discover={"a"}, settings=settings)
        await registry.start()
        (own,) = in_chat(registry).keys() - models.keys()
        assert in_chat(registry) == {"listed": True, "quiet": True, "no": False, own: True}
        assert [registry.resolve(id).relays_chat for id in ("listed", "quiet")] == [relays, relays]
        await registry.close()


async def test_a_model_that_speaks_responses_alone_stands_in_for_one_that_speaks_chat_too() -> None:
    a, b = Puppet("a", "m"), Puppet("b", "n")
    settings = {"a": BackendConfig(url="http://a"), "b": BackendConfig(url="http://b", api="responses")}
    models = {"m": ModelConfig(backends=["a"], fallbacks=["n"]), "n": ModelConfig(backends=["b"])}
    registry = Registry(models, {"a": a, "b": b}, settings=settings)
    a.down = True
    assert text_of(await read_all(await registry.resolve("m").open(turn("hi", model="m")))) == "hi"
    assert [one.model for one in b.turns] == ["n"]
    await registry.close()


# Ids


async def test_discovered_models_are_served_under_their_own_ids() -> None:
    a = Puppet("a", "org/model:free", "m")
    async with started({}, a) as registry:
        assert ids(registry) == ["org/model:free", "m"]
        stream = await registry.resolve("org/model:free").open(turn("hi", model="org/model:free"))
        assert text_of(await read_all(stream)) == "hi"
        assert a.turns[0].model == "org/model:free"


async def test_a_configured_id_is_mapped_to_the_backends_own_name() -> None:
    a, b = Puppet("a", "llama-3"), Puppet("b", "other")
    models = {"nice": ModelConfig(backends=["a"], name="llama-3", aliases=["gpt-x", "gpt/y"], temperature=0.3)}
    async with started(models, a, b) as registry:
        assert ids(registry) == ["nice", "llama-3", "other"]
        for id in ("nice", "gpt-x", "gpt/y"):
            route = registry.resolve(id)
            assert route.card.id == "nice"
            assert route.card.context_length == 131072
            assert route.defaults.temperature == 0.3
            await read_all(await route.open(turn("x", model="nice")))
        assert {seen.model for seen in a.turns} == {"llama-3"}
        assert not b.turns


async def test_what_is_configured_wins_over_what_is_listed() -> None:
    models = {"m": ModelConfig(context_length=1000, functions=False, parameters_number="60B", instructions="Be kind.")}
    async with started(models, Puppet("a", "m")) as registry:
        route = registry.resolve("m")
        assert (route.card.context_length, route.card.parameters_number) == (1000, "60B")
        assert not route.card.capabilities.functions
        assert route.instructions == "Be kind."
        assert ids(registry) == ["m"]


async def test_ollamas_latest_may_be_left_out() -> None:
    async with started({}, Puppet("a", "llama3:latest")) as registry:
        assert registry.resolve("llama3").card.id == "llama3:latest"


async def test_an_unknown_model_names_those_there_are() -> None:
    async with started({}, Puppet("a", "one", "two")) as registry:
        with pytest.raises(InvalidRequest, match="'one', 'two'") as caught:
            registry.resolve("three")
        error = caught.value
        assert (error.status, error.code, error.param) == (400, "model_not_found", "model")


async def test_a_long_list_is_cut_in_messages() -> None:
    async with started({}, Puppet("a", *(f"m{n}" for n in range(300)))) as registry:
        with pytest.raises(InvalidRequest, match=r"280 more") as caught:
            registry.resolve("x")
        assert len(caught.value.message) < 500


async def test_a_model_without_an_endpoint() -> None:
    async with started({"m": ModelConfig()}, Puppet("a", "x"), Puppet("b", "y")) as registry:
        with pytest.raises(APIError) as caught:
            registry.resolve("m")
        assert (caught.value.status, caught.value.type) == (500, "server_error")


async def test_with_one_backend_a_model_need_not_be_listed() -> None:
    async with started({"m": ModelConfig(name="own")}, Puppet("a", "x")) as registry:
        assert text_of(await read_all(await registry.resolve("m").open(turn("hi")))) == "hi"


def test_a_backend_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="'nowhere'"):
        Registry({"m": ModelConfig(backends=["nowhere"])}, {})


async def test_discovery_can_be_switched_off() -> None:
    a = Puppet("a", "m")
    registry = Registry({}, {"a": a}, discover=frozenset())
    await registry.start()
    assert (ids(registry), a.asked) == ([], 0)
    await registry.close()


# Coming and going


async def test_a_backend_that_is_down_at_the_start_appears_when_it_comes_up() -> None:
    a, b = Puppet("a", "one"), Puppet("b", "two")
    a.down = True
    async with started({}, a, b) as registry:
        assert ids(registry) == ["two"]
        assert [(health.name, health.up) for health in registry.health()] == [("a", False), ("b", True)]
        a.down = False
        await registry.refresh()
        assert ids(registry) == ["one", "two"]
        assert all(health.up for health in registry.health())


async def test_a_backend_that_goes_down_keeps_its_models() -> None:
    a = Puppet("a", "one")
    async with started({}, a) as registry:
        a.down = True
        await registry.refresh()
        assert ids(registry) == ["one"]
        assert registry.health()[0].error


async def test_it_looks_again_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DOWN_SECONDS", 0.02)
    a = Puppet("a", "one")
    a.down = True
    async with started({}, a) as registry:
        a.down = False
        await until(lambda: ids(registry) == ["one"])


async def test_an_unknown_model_makes_it_look_again_but_not_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    a = Puppet("a", "one")
    async with started({}, a) as registry:
        a._models = [*a._models, BackendModel(id="new")]
        for _ in range(3):
            with pytest.raises(InvalidRequest):
                registry.resolve("new")
        await asyncio.sleep(0.02)
        assert a.asked == 1
        monkeypatch.setattr(module, "DOWN_SECONDS", 0.0)
        with pytest.raises(InvalidRequest):
            registry.resolve("new")
        await until(lambda: ids(registry) == ["one", "new"])
        assert a.asked == 2


async def test_a_slow_backend_does_not_hold_up_the_start() -> None:
    class Slow(Puppet):
        async def models(self) -> Sequence[BackendModel]:
            await asyncio.sleep(0.2)
            return await super().models()

    slow = Slow("slow", "late")
    registry = Registry({}, {"slow": slow})
    await registry.start(wait=0.01)
    assert ids(registry) == []
    await until(lambda: ids(registry) == ["late"])
    await registry.close()


# Other settings


async def test_a_removed_backend_is_closed_once_its_calls_have_ended() -> None:
    models = {"m": ModelConfig(backends=["old"], name="m")}
    old, kept, new = Puppet("old", "m", "own"), Puppet("kept", "k"), Puppet("new", "m", "fresh")
    registry = Registry(models, {"old": old, "kept": kept})
    await registry.start()
    try:
        route = registry.resolve("m")
        stream = await route.open(turn("Hi."))
        registry.replace({"m": ModelConfig(backends=["new"], name="m")}, {"kept": kept, "new": new}, linger=0.02)
        await until(lambda: any(card.id == "fresh" for card in registry.cards()))
        await asyncio.sleep(0.1)
        assert not old.closed
        await read_all(stream)
        await until(lambda: old.closed)
        assert not kept.closed and kept.asked == 2
        await read_all(await registry.resolve("m").open(turn("Hi.")))
        assert [len(backend.turns) for backend in (old, new)] == [1, 1]
        with pytest.raises(InvalidRequest):
            registry.resolve("own")
    finally:
        await registry.close()


async def test_a_backend_that_stays_keeps_its_state_and_one_with_other_settings_its_models_meanwhile() -> None:
    one, two, other = Puppet("one", "a"), Puppet("two", "b"), Puppet("two", "b", "c")
    async with started({}, one, two) as registry:
        await read_all(await registry.resolve("a").open(turn("Hi.")))
        registry.replace({}, {"one": one, "two": other}, linger=10)
        assert {card.id for card in registry.cards()} == {"a", "b"}
        assert [health.calls for health in registry.health()] == [1, 0]
        await until(lambda: any(card.id == "c" for card in registry.cards()))
        await read_all(await registry.resolve("b").open(turn("Hi.")))
        assert (len(two.turns), len(other.turns), two.closed) == (0, 1, False)


async def test_what_cannot_be_served_changes_nothing() -> None:
    one = Puppet("one", "a")
    async with started({}, one) as registry:
        with pytest.raises(ConfigError):
            registry.replace({"m": ModelConfig(backends=["nowhere"])}, {})
        assert [card.id for card in registry.cards()] == ["a"]


# What is made of settings


def other(value: object) -> object:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    return "other" if value is None or isinstance(value, str) else value + 1


@pytest.mark.parametrize(
    ("make", "settings", "own"),
    [
        (module._abilities, ModelConfig(), set()),
        (module._defaults, ModelConfig(), set()),
        (module._policy, BackendConfig(url="x"), {"chat_completions"}),
    ],
)
def test_each_field_of_a_struct_is_the_setting_of_that_name(make, settings, own: set[str]) -> None:
    names = set(make(settings).__struct_fields__) - own
    assert names <= set(settings.__struct_fields__)
    for name in names:
        changed = other(getattr(settings, name))
        made = make(msgspec.structs.replace(settings, **{name: changed}))
        assert getattr(made, name) == changed
        assert made == msgspec.structs.replace(make(settings), **{name: changed}), name


@pytest.mark.parametrize(("api", "chat"), [("chat", True), ("responses", False), ("scripted", False), ("mine", True)])
def test_which_kinds_of_backends_chat_completions_are_passed_on_to(api: str, chat: bool) -> None:
    assert module._policy(BackendConfig(url="x", api=api)).chat_completions is chat
