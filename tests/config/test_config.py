"""Settings: who wins, what is refused and how it is said, what is never printed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from antiphon.config import BackendConfig, Config, EngineConfig, KeyConfig, McpServerConfig
from antiphon.config.docs import page, schema
from antiphon.config.loading import Loaded, load
from antiphon.config.masking import secrets_of
from antiphon.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def settings(tmp_path: Path, file: str = "", flags: dict[str, Any] | None = None, **variables: str) -> Loaded:
    """Load with a file in an otherwise empty folder."""
    if file:
        (tmp_path / "antiphon.toml").write_text(file)
    return load(flags or {}, {"HOME": str(tmp_path), **variables}, tmp_path)


def refusal(tmp_path: Path, file: str = "", flags: dict[str, Any] | None = None, **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, file, flags, **variables)
    return str(caught.value)


# Who wins


def test_flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults(tmp_path: Path) -> None:
    file = 'port = 1\nworkers = 2\nkeepalive = 3\n[backends.x]\nurl = "http://127.0.0.1:9/v1"\n'
    loaded = settings(tmp_path, file, {"port": 9}, ANTIPHON_PORT="8", ANTIPHON_WORKERS="4")
    assert (loaded.config.port, loaded.config.workers, loaded.config.keepalive) == (9, 4, 3.0)
    assert loaded.config.host == "127.0.0.1"
    assert loaded.origins == {
        "port": "flag --port",
        "workers": "environment ANTIPHON_WORKERS",
        "keepalive": str(tmp_path / "antiphon.toml"),
        "backends.x.url": str(tmp_path / "antiphon.toml"),
    }


def test_tables_are_merged_setting_by_setting(tmp_path: Path) -> None:
    file = '[backends."my-gpu"]\nurl = "http://a/v1"\nkey = "old"\nidle_timeout = 5\n[engine]\nthreads = 3\n'
    config = settings(
        tmp_path,
        file,
        {"backend": ["my-gpu=http://b/v1"]},
        ANTIPHON_BACKENDS_MY_GPU_KEY="new",
        ANTIPHON_ENGINE_CONTEXT="64",
    ).config
    assert config.backends == {"my-gpu": BackendConfig(url="http://b/v1", key="new", idle_timeout=5.0)}
    assert config.engine is not None
    assert (config.engine.threads, config.engine.context) == (3, 64)


def test_the_file_is_the_named_one_or_the_one_here_or_none(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("port = 5")
    assert settings(tmp_path).file is None
    assert settings(tmp_path, "port = 1").config.port == 1
    assert settings(tmp_path, "port = 1", ANTIPHON_CONFIG=str(other)).config.port == 5
    assert settings(tmp_path, "port = 1", {"config": str(other)}, ANTIPHON_CONFIG="nowhere").config.port == 5
    assert "nowhere: cannot be read: No such file" in refusal(tmp_path, flags={"config": "nowhere"})


def test_the_environment_gives_lists_switches_and_tables(tmp_path: Path) -> None:
    config = settings(
        tmp_path,
        ANTIPHON_API_KEYS="a, b,",
        ANTIPHON_URL_GUARD_ALLOW="10.0.0.0/8",
        ANTIPHON_WEBSOCKET="off",
        ANTIPHON_BACKENDS_X_URL="http://x/v1",
        ANTIPHON_BACKENDS_X_HEADERS="a=1,b=2",
    ).config
    assert config.api_keys == ["a", "b"]
    assert config.url_guard_allow == ["10.0.0.0/8"]
    assert config.websocket is False
    assert config.backends["x"].headers == {"a": "1", "b": "2"}


def test_variables_stand_for_values_of_the_file(tmp_path: Path) -> None:
    file = 'port = "${P}"\napi_keys = ["${KEY}"]\nlog_level = "${LEVEL:-debug}"\nsecret = "${NO:-}$${P}"\n'
    config = settings(tmp_path, file, P="81", KEY="k").config
    assert (config.port, config.api_keys, config.log_level, config.secret) == (81, ["k"], "debug", "${P}")
    assert "api_keys: the environment variable KEY is not set" in refusal(tmp_path, file, P="81")


def test_extra_body_stays_json(tmp_path: Path) -> None:
    config = settings(tmp_path, "[models.m]\nextra_body = { top_k = 20, deep = { a = [1, true] } }").config
    extra = config.models["m"].extra_body
    assert {name: msgspec.json.decode(raw) for name, raw in extra.items()} == {"top_k": 20, "deep": {"a": [1, True]}}


# The short way


def test_backends_are_named_by_host_and_port_and_keys_follow_their_order(tmp_path: Path) -> None:
    urls = ["http://u:p@a:1/v1", "b=https://b/v1?x=1", "http://a:1/v2"]
    backends = settings(tmp_path, flags={"backend": urls, "backend_key": ["x", "y", "z"]}).config.backends
    assert {name: (backend.url, backend.key) for name, backend in backends.items()} == {
        "a:1": (urls[0], "x"),
        "b": ("https://b/v1?x=1", "y"),
        "a:1-2": (urls[2], "z"),
    }


def test_one_key_is_for_all_backends(tmp_path: Path) -> None:
    config = settings(tmp_path, ANTIPHON_BACKEND="http://a/v1,http://b/v1", ANTIPHON_BACKEND_KEY="k").config
    assert [backend.key for backend in config.backends.values()] == ["k", "k"]
    message = refusal(tmp_path, flags={"backend": ["http://a/v1"], "backend_key": ["secret-1", "secret-2"]})
    assert "backend keys: expected 1 value for all backends" in message
    assert "secret" not in message


def test_without_anything_the_demo_model_is_served(tmp_path: Path) -> None:
    assert settings(tmp_path).config.engine == EngineConfig(cache=str(tmp_path / ".cache/antiphon/models"))
    assert settings(tmp_path, flags={"backend": ["http://a/v1"]}).config.engine is None
    both = settings(tmp_path, flags={"backend": ["http://a/v1"], "engine.model": "antiphon-demo"}).config
    assert both.engine is not None
    assert both.engine.model == ""


def test_the_store_is_in_the_data_folder(tmp_path: Path) -> None:
    assert settings(tmp_path).config.store == str(tmp_path / ".local/share/antiphon/antiphon.db")
    assert settings(tmp_path, XDG_DATA_HOME="/data").config.store == "/data/antiphon/antiphon.db"
    assert settings(tmp_path, flags={"store": "memory"}).config.store == "memory"


# Refusals

WRONG_FILES = {
    "prot = 1": "unknown setting 'prot'; did you mean 'port'?",
    "[backends.a]\nurl = 'http://a'\nkye = 'k'": "unknown setting 'backends.a.kye'; did you mean 'key'?",
    "[backends.a]\nkey = 'k'": "backends.a.url is missing",
    "port = '80'": "port: expected int, got str",
    "port = 70000": "port: expected int <= 65535",
    "backends = 3": "backends: expected a table",
    "api_keys = ['a', 3]": "api_keys: expected str, got int at [1]",
    "log_level = 'loud'": "log_level: expected one of debug, info, warning, error",
    "[models.'a/b']\ntemperature = 3": 'models."a/b".temperature: expected float <= 2.0',
    "[models.m]\nextra_body = 3": "models.m.extra_body: expected a table",
    "port 80": "is not valid TOML",
}


@pytest.mark.parametrize("file", WRONG_FILES)
def test_a_wrong_file_is_named_with_the_place_and_the_way_out(tmp_path: Path, file: str) -> None:
    message = refusal(tmp_path, file)
    assert message.startswith(str(tmp_path / "antiphon.toml"))
    assert WRONG_FILES[file] in message


WRONG_TOGETHER = {
    "host = '0.0.0.0'": "host: '0.0.0.0' can be reached from other machines, and no API key is set",
    "host = ''": "can be reached from other machines",
    "api_keys = ['']": "api_keys[0]: a key must be",
    "workers = 2\nstore = 'memory'": "workers: several processes cannot share",
    "url_guard_allow = ['10.0.0.0/33']": "url_guard_allow[0]: '10.0.0.0/33' is not a network",
    "[backends.a]\nurl = 'a:8000'": "backends.a.url: 'a:8000' is not http://host:port/v1",
    "[backends.x]\nurl = 'http://a/v1'\nmax_concurrent_of = 'store'": '"store" needs max_concurrent',
    "[backends.engine]\nurl = 'http://a'": "this name is reserved for the embedded engine",
    "[engine]\nmodel = 'no.gguf'": "engine.model: file not found: 'no.gguf'",
    "[engine]\nmodel = 'llama'": "engine.model: 'llama' is neither FILE.gguf nor a hub repository",
    "[backends.gpu1]\nurl = 'http://a'\n[models.m]\nbackends = ['gpu2']": "unknown backend 'gpu2'; did you mean 'gpu1'?",
    "[models.m]\naliases = ['x', 'x']": "models.m.aliases: 'x' is already used by models.m.aliases",
    "[models.m]\naliases = ['n']\n[models.n]": "models.m.aliases: 'n' is already used by models.n",
    "[mcp_servers.a]": "mcp_servers.a: expected either a command or a url",
    "[models.m]\nextra_body = {chat_template_kwargs = 5}": "models.m.extra_body.chat_template_kwargs: expected a table",
    "[keys.a]\nkey = 'x y'": "keys.a.key: a key must be printable ASCII",
    "api_keys = ['x']\n[keys.a]\nkey = 'y'\n[keys.b]\nkey = 'y'": "keys.b.key: same key as keys.a.key",
    "[jwt]\nissuer = 'https://a'\naudience = []": "jwt.audience: must not be empty",
    "[jwt]\nissuer = 'a'\naudience = ['x']": "jwt.issuer: 'a' is not a URL such as",
    "[jwt]\nissuer = 'a'\naudience = ['x']\njwks_url = 'b'": "jwt.jwks_url: 'b' is not a URL such as",
    "[jwt]\nissuer = 'a'\naudience = ['x']\njwks_url = 'http://b'\nkey_file = 'c'": "expected either jwks_url or key_file",
}


@pytest.mark.parametrize("file", WRONG_TOGETHER)
def test_settings_that_do_not_fit_together_are_refused(tmp_path: Path, file: str) -> None:
    assert WRONG_TOGETHER[file] in refusal(tmp_path, file)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_key(tmp_path: Path, host: str) -> None:
    assert settings(tmp_path, flags={"host": host}).config.host == host


@pytest.mark.parametrize(
    "file",
    [
        "api_keys = ['k']",
        "require_key = true",
        "[keys.a]\nkey = 'k'",
        "[jwt]\nissuer = 'https://a'\naudience = ['x']",
        "[jwt]\nissuer = 'a'\naudience = ['x']\nkey_file = 'k.pem'",
    ],
)
def test_a_key_opens_other_addresses(tmp_path: Path, file: str) -> None:
    assert settings(tmp_path, file, {"host": "0.0.0.0"}).config.host == "0.0.0.0"


def test_wrong_variables_are_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, ANTIPHON_PORT="x") == "environment ANTIPHON_PORT: port: expected int, got str"
    assert "did you mean 'ANTIPHON_STORE'?" in refusal(tmp_path, ANTIPHON_STOER="k")


def test_what_kubernetes_sets_is_left_alone(tmp_path: Path) -> None:
    config = settings(
        tmp_path,
        ANTIPHON_PORT="tcp://10.0.0.1:80",
        ANTIPHON_SERVICE_HOST="10.0.0.1",
        ANTIPHON_SERVICE_PORT_HTTP="80",
        ANTIPHON_PORT_80_TCP_ADDR="10.0.0.1",
    ).config
    assert config == settings(tmp_path).config


# Secrets


def test_no_secret_is_in_a_repr() -> None:
    config = Config(
        api_keys=["hush-1"],
        secret="hush-2",
        keys={"k": KeyConfig(key="hush-9")},
        backends={"a": BackendConfig(url="http://me:hush-3@a/v1", key="hush-4", headers={"x": "hush-5"})},
        mcp_servers={
            "m": McpServerConfig(command="run", args=["hush-6"], env={"T": "hush-7"}, headers={"x": "hush-8"})
        },
    )
    assert "hush" not in f"{config} {config!r} {[config]}"
    assert "http://***@a/v1" in repr(config)


# What is made from the structs


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "run: scripts/docs"


def test_the_example_of_the_page_works_and_fits_the_schema(tmp_path: Path) -> None:
    example = page().partition("```toml\n")[2].partition("```")[0]
    config = settings(tmp_path, example, ALICE_KEY="a", BOB_KEY="b").config
    assert config.models["hypernova-60b"].aliases == ["gpt-5"]
    jsonschema_rs.validator_for(schema()).validate(tomllib.loads(example))


def test_the_schema_refuses_unknown_settings() -> None:
    assert not jsonschema_rs.validator_for(schema()).is_valid({"prot": 1})


def test_variables_of_tables_in_tables() -> None:
    variables = {
        "ANTIPHON_TOOLS_WEB_SEARCH_PROVIDER": "brave",
        "ANTIPHON_TOOLS_WEB_SEARCH_KEY": "k",
        "ANTIPHON_TOOLS_WEB_SEARCH_BLOCKED_DOMAINS": "a.example, b.example",
    }
    settings = load({"backend": ["http://127.0.0.1:1/v1"]}, variables).config.tools.web_search
    assert (settings.provider, settings.key, settings.blocked_domains) == ("brave", "k", ["a.example", "b.example"])


def test_one_variable_holds_the_key_of_both_sides(tmp_path: Path) -> None:
    assert settings(tmp_path, ANTIPHON_API_KEY="k").config.api_keys == ["k"]
    assert settings(tmp_path, ANTIPHON_API_KEY="k", ANTIPHON_API_KEYS="a,b").config.api_keys == ["a", "b"]
    assert (
        settings(tmp_path, 'api_keys = ["f"]', ANTIPHON_API_KEY="k").origins["api_keys"]
        == "environment ANTIPHON_API_KEY"
    )


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("gpu=10.0.0.1:8000/v1", "http://10.0.0.1:8000/v1"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("https://x.example/v1", "https://x.example/v1"),
        ("unix:/a/b:/v1", "unix:/a/b:/v1"),
    ],
)
def test_a_backend_by_flag_may_leave_out_http(tmp_path: Path, given: str, url: str) -> None:
    (backend,) = settings(tmp_path, flags={"backend": [given]}).config.backends.values()
    assert backend.url == url


def test_a_wrong_scope_is_told_with_those_that_are(tmp_path: Path) -> None:
    told = refusal(tmp_path, '[keys.a]\nkey = "k"\nscopes = ["respones"]')
    assert "invalid enum value 'respones' at [0]; expected some of responses, chat" in told


def test_settings_that_are_read_again_are_not_taken_apart_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = "".join(f'[models.m{number}]\nbackends = ["a"]\n' for number in range(50))
    (tmp_path / "antiphon.toml").write_text(f'[backends.a]\nurl = "http://127.0.0.1:9"\nkey = "sk-abcdefgh"\n{models}')
    known = {*secrets_of(load({}, {}, tmp_path).config)}
    taken: list[type] = []
    real = msgspec.structs.fields
    monkeypatch.setattr(msgspec.structs, "fields", lambda struct: [taken.append(struct), real(struct)][1])
    again = load({}, {}, tmp_path).config
    assert known == {*secrets_of(again)} == {"sk-abcdefgh"} and not taken
