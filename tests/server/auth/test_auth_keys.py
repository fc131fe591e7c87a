"""Keys of the store and of the configuration on a running server: rights, revocation, the models that they see."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from antiphon.access.caller import Caller
from antiphon.access.keys import Key, Keyring, Made, Rights, new_secret, well_formed
from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig, ModelConfig
from antiphon.errors import APIError, ConfigError
from antiphon.server.auth import authenticator
from antiphon.server.auth.authenticator import KeyAuthenticator
from antiphon.stores.open import open_memory, open_sqlite
from tests.bounds import bound
from tests.server.handlers import Answer, call
from tests.server.serving import serving, wait_until
from tests.server.whole import Client, turn

T = TypeVar("T")
MODELS = {"gpt-small": ModelConfig(name="scripted", aliases=["tiny"]), "llama": ModelConfig(name="scripted")}


def settings(folder: Path, **more: Any) -> Config:
    return Config(
        store=str(folder / "store.db"),
        shutdown_grace=1.0,
        backends={"scripted": BackendConfig(url="http://127.0.0.1:9", api="scripted")},
        **more,
    )


@contextmanager
def server(config: Config) -> Iterator[str]:
    with serving(app.build(config), config) as served:
        yield served.url


def on_store(folder: Path, action: Callable[[Keyring], Awaitable[T]]) -> T:
    """Do something with the keys, as `antiphon keys` does it: from another process's view of the file."""

    async def act() -> T:
        store = open_sqlite(folder / "store.db")
        try:
            return await action(Keyring(store.keys, time.time))
        finally:
            await store.close()

    return asyncio.run(act())


def make(folder: Path, **rights: Any) -> Made:
    return on_store(folder, lambda keyring: keyring.create(Rights(**rights)))


def ask(url: str, key: str, path: str = "/v1/responses", **fields: Any) -> Answer:
    asked = {"messages": []} if path.startswith("/v1/chat") else {"input": "Hi."}
    body = {"model": "scripted", **asked, **fields}
    return call(url, "POST", path, json.dumps(body), {"authorization": f"Bearer {key}"})


def get(url: str, key: str, path: str) -> Answer:
    return call(url, "GET", path, headers={"x-api-key": key})


# The keys themselves


def test_keys_can_be_scanned_for() -> None:
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert all(re.fullmatch(r"sk-antiphon-[0-9A-Za-z]{49}", secret) for secret in secrets)


def test_a_mistyped_key_is_not_even_looked_up() -> None:
    secret = new_secret()
    assert well_formed(secret.encode())
    for place in range(12, len(secret)):
        other = "a" if secret[place] != "a" else "b"
        assert not well_formed((secret[:place] + other + secret[place + 1 :]).encode())
    assert not well_formed(secret[:-1].encode()) and not well_formed(b"sk-antiphon-")


async def test_the_store_does_not_know_the_key() -> None:
    store = open_memory()
    made = await Keyring(store.keys, time.time).create(Rights(name="a"))
    assert made.secret not in repr(vars(store.keys)) and made.secret[12:40] not in repr(vars(store.keys))
    other = Keyring(store.keys, time.time)  # another process, on the same store
    assert await other.find(made.secret.encode()) == made.key
    assert await other.find(new_secret().encode()) is None


def of_line(key: Key) -> Caller:
    """Return whom a key lets in, whichever key of its line it is."""
    return replace(key.caller(), key="")


async def test_a_rotated_key_goes_on_as_it_was() -> None:
    clock = [1000.0]
    keyring = Keyring(open_memory().keys, lambda: clock[0])
    rights = Rights(name="a", scopes=("read",), models=("gpt-*",), limits=("60 requests/minute",))
    old = await keyring.create(rights)
    clock[0] += 1
    new = await keyring.rotate(old.key.id, 59)
    assert new.secret != old.secret and new.key.id != old.key.id
    assert of_line(new.key) == of_line(old.key)  # the same owner, rights, limits, and meter
    both = await keyring.list()
    assert [key.state(1059) for key in both] == ["active", "active"]
    assert [key.state(1060) for key in both] == ["expired", "active"]
    again = await keyring.rotate(new.key.id, 0)
    assert of_line(again.key) == of_line(old.key)


async def test_what_has_ended_is_not_rotated() -> None:
    keyring = Keyring(open_memory().keys, time.time)
    made = await keyring.create(Rights())
    first = await keyring.revoke(made.key.id)
    assert await keyring.revoke(made.key.id) == first  # once is enough
    with pytest.raises(APIError, match="is revoked"):
        await keyring.rotate(made.key.id, 60)
    with pytest.raises(APIError, match="'key_x' not found"):
        await keyring.revoke("key_x")


async def test_a_rotated_key_keeps_its_end() -> None:
    keyring = Keyring(open_memory().keys, lambda: 1000.0)
    old = await keyring.create(Rights(expires_at=1030.0))
    new = await keyring.rotate(old.key.id, 60)
    assert new.key.expires_at == (await keyring.list())[0].expires_at == 1030.0


# On a server


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the moment for which a server remembers a key."""
    monkeypatch.setattr(authenticator, "MEMORY", 0.05)


def test_a_key_is_let_in_until_it_is_revoked(tmp_path: Path, quick: None) -> None:
    made = make(tmp_path, owner="ann")
    with server(settings(tmp_path)) as url:
        assert ask(url, made.secret).status == 200
        assert ask(url, new_secret()).error()["code"] == "invalid_api_key"
        on_store(tmp_path, lambda keyring: keyring.revoke(made.key.id))
        wait_until(lambda: ask(url, made.secret).status == 401, 3)
        error = ask(url, made.secret).error()
        assert (error["code"], error["message"]) == ("invalid_api_key", "This API key has been revoked.")
        # To revoke the last key does not open the server.
        assert call(url, "GET", "/v1/models").error()["code"] == "missing_api_key"


def test_an_open_server_closes_when_the_first_key_is_made(tmp_path: Path, quick: None) -> None:
    with server(settings(tmp_path)) as url:
        assert call(url, "GET", "/v1/models").status == 200
        made = make(tmp_path)
        wait_until(lambda: call(url, "GET", "/v1/models").status == 401, 3)
        assert get(url, made.secret, "/v1/models").status == 200


def test_a_server_that_requires_a_key_is_never_open(tmp_path: Path, quick: None) -> None:
    with server(settings(tmp_path, require_key=True)) as url:
        assert call(url, "GET", "/v1/models").status == 401
        assert call(url, "GET", "/health").status == 200
        assert get(url, make(tmp_path).secret, "/v1/models").status == 200


@pytest.mark.slow
def test_a_key_expires(tmp_path: Path, quick: None) -> None:
    made = make(tmp_path, expires_at=time.time() + 0.6)
    with server(settings(tmp_path)) as url:
        assert ask(url, made.secret).status == 200
        wait_until(lambda: ask(url, made.secret).status == 401, 3)
        assert ask(url, made.secret).error()["message"] == "This API key has expired."


def test_a_connection_does_not_outlive_its_key(tmp_path: Path, quick: None) -> None:
    made = make(tmp_path)
    with server(settings(tmp_path)) as url, Client(url, made.secret).websocket() as connection:
        assert turn(connection, model="scripted", input="Hi.")[-1]["type"] == "response.completed"
        on_store(tmp_path, lambda keyring: keyring.revoke(made.key.id))
        time.sleep(0.1)
        error = turn(connection, model="scripted", input="Hi.")[-1]
        assert (error["type"], error["status"], error["error"]["code"]) == ("error", 401, "invalid_api_key")


def test_keys_of_one_owner_share_what_is_theirs(tmp_path: Path) -> None:
    one, two, other = make(tmp_path, owner="ann"), make(tmp_path, owner="ann"), make(tmp_path)
    with server(settings(tmp_path)) as url:
        id = ask(url, one.secret).json()["id"]
        assert get(url, two.secret, f"/v1/responses/{id}").status == 200
        assert get(url, other.secret, f"/v1/responses/{id}").status == 404


def test_a_limited_connection_gets_the_429_as_an_event(tmp_path: Path) -> None:
    made = make(tmp_path, limits=("1 requests/minute",))
    with server(settings(tmp_path)) as url, Client(url, made.secret).websocket() as connection:
        assert turn(connection, model="scripted", input="Hi.")[-1]["type"] == "response.completed"
        error = turn(connection, model="scripted", input="Hi.")[-1]
        assert (error["status"], error["error"]["code"]) == (429, "rate_limit_exceeded")


# Scopes

ROUTES = [
    ("POST", "/v1/responses", {"responses"}),
    ("POST", "/v1/responses/input_tokens", {"responses"}),
    ("POST", "/v1/responses/compact", {"responses"}),
    ("GET", "/v1/responses/resp_1", {"responses", "read"}),
    ("DELETE", "/v1/responses/resp_1", {"responses"}),
    ("POST", "/v1/responses/resp_1/cancel", {"responses"}),
    ("GET", "/v1/responses/resp_1/input_items", {"responses", "read"}),
    ("POST", "/v1/conversations", {"responses"}),
    ("GET", "/v1/conversations/conv_1", {"responses", "read"}),
    ("DELETE", "/v1/conversations/conv_1/items/msg_1", {"responses"}),
    ("POST", "/v1/files", {"responses", "chat"}),
    ("GET", "/v1/files", {"responses", "read", "chat"}),
    ("GET", "/v1/files/file_1/content", {"responses", "read", "chat"}),
    ("POST", "/v1/batches", {"responses", "chat"}),
    ("GET", "/v1/batches", {"responses", "read", "chat"}),
    ("GET", "/v1/batches/batch_1", {"responses", "read", "chat"}),
    ("POST", "/v1/batches/batch_1/cancel", {"responses", "chat"}),
    ("POST", "/v1/chat/completions", {"chat"}),
    ("GET", "/v1/models", {"responses", "read", "chat"}),
    ("GET", "/v1/models/llama", {"responses", "read", "chat"}),
]


@pytest.fixture(scope="module")
def scoped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scopes: tuple[Any, ...] = ("responses", "chat", "read", "admin")
    keys = {scope: KeyConfig(key=scope, scopes=[scope]) for scope in scopes}
    keys["gpt"] = KeyConfig(key="gpt", models=["gpt-*"])
    keys["none"] = KeyConfig(key="none", scopes=[])
    with server(settings(tmp_path_factory.mktemp("scopes"), keys=keys, models=MODELS, api_keys=["all"])) as url:
        yield url


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
@pytest.mark.parametrize("scope", ["responses", "chat", "read", "admin", "none"])
def test_a_route_needs_its_scope(scoped: str, method: str, path: str, needed: set[str], scope: str) -> None:
    answer = call(scoped, method, path, b"{}" if method == "POST" else None, {"x-api-key": scope})
    if scope in needed or scope == "admin":
        assert answer.status not in (401, 403)
        return
    error = answer.error()
    assert (answer.status, error["type"], error["code"]) == (403, "permission_error", "insufficient_scope")


@pytest.mark.parametrize(("scope", "status"), [("responses", 101), ("read", 403), ("chat", 403), ("nobody", 401)])
def test_websocket_mode_needs_the_scope_too(scoped: str, scope: str, status: int) -> None:
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    headers = {**upgrade, "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==", "x-api-key": scope}
    assert call(scoped, "GET", "/v1/responses", headers=headers).status == status


# Models


def test_a_key_sees_only_the_models_that_it_may_call(scoped: str) -> None:
    everything = [model["id"] for model in get(scoped, "all", "/v1/models").json()["data"]]
    assert everything == ["gpt-small", "llama", "scripted"]
    listing = get(scoped, "gpt", "/v1/models").json()
    assert [model["id"] for model in listing["data"]] == [model["slug"] for model in listing["models"]] == ["gpt-small"]
    assert get(scoped, "gpt", "/v1/models/tiny").status == 200
    assert get(scoped, "gpt", "/v1/models/llama").status == 404
    for path in ("/v1/responses", "/v1/chat/completions", "/v1/responses/input_tokens", "/v1/responses/compact"):
        hidden, unknown = (ask(scoped, "gpt", path, model=model).error() for model in ("llama", "nobody"))
        assert hidden["code"] == "model_not_found" and hidden["status"] == 400
        assert hidden["message"] == str(unknown["message"]).replace("nobody", "llama")
        assert "Available models: 'gpt-small'." in hidden["message"]
    assert ask(scoped, "gpt", model="tiny").status == ask(scoped, "gpt", model="gpt-small").status == 200


def test_a_request_to_count_without_a_model_takes_one_that_is_seen(scoped: str) -> None:
    answer = call(scoped, "POST", "/v1/responses/input_tokens", b'{"input":"Hi."}', {"x-api-key": "gpt"})
    assert answer.status == 200


# What is remembered


class Source:
    """Credentials that count their look-ups."""

    def __init__(self) -> None:
        self.asked = 0
        self.broken = False

    async def find(self, presented: bytes) -> Caller | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.broken:
            raise OSError("the store is away")
        return Caller(owner="ann") if presented == b"good" else None

    async def closed(self) -> bool:
        return True


def key(text: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-api-key", text.encode())]


async def test_a_good_key_is_looked_up_once_in_a_while(quick: None) -> None:
    source = Source()
    door = KeyAuthenticator({}, [source])
    for _ in range(100):
        assert (await door.authenticate(key("good"))).owner == "ann"
    assert source.asked == 1
    await asyncio.sleep(0.06)
    await asyncio.gather(*(door.authenticate(key("good")) for _ in range(100)))
    assert source.asked == 2


async def test_a_known_key_survives_a_store_that_is_away(quick: None) -> None:
    source = Source()
    door = KeyAuthenticator({}, [source])
    await door.authenticate(key("good"))
    source.broken = True
    await asyncio.sleep(0.06)
    assert (await door.authenticate(key("good"))).owner == "ann"
    with pytest.raises(OSError, match="away"):
        await door.authenticate(key("other"))


async def test_strangers_fill_no_memory(quick: None) -> None:
    door = KeyAuthenticator({}, [Source()])
    for number in range(50):
        with pytest.raises(APIError):
            await door.authenticate(key(f"bad {number}"))
    assert not door._remembered


async def test_to_know_a_key_costs_little() -> None:
    door = KeyAuthenticator({"k": Caller(owner="ann")})
    headers = [(b"host", b"a"), (b"accept", b"*/*"), *key("k")]
    started = time.thread_time()
    for _ in range(2000):
        await door.authenticate(headers)
    assert (time.thread_time() - started) / 2000 < bound(40e-6)  # 2 µs when nothing else runs


def test_a_bad_limit_of_the_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keys\.ann\.limits: '6 x' is not a limit"):
        app.build(replace(settings(tmp_path), store="memory", keys={"ann": KeyConfig(key="k", limits=["6 x"])}))
