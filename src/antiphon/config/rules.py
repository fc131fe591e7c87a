"""Rules between settings; each raises ConfigError with the key path and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from antiphon.config.apis import BACKEND_APIS, api_of
from antiphon.config.origins import is_origin
from antiphon.config.plugins import BACKENDS, GUARDS, STORES, TOOLS, check_plugin
from antiphon.config.reading import nearest, quoted
from antiphon.config.sections.engine import ALL_MODELS
from antiphon.config.sections.guards import MODERATION, PATTERNS
from antiphon.config.structs import Config
from antiphon.config.tables import MCP, mask
from antiphon.config.web_search import KEYED, PROVIDER_NAMES, WebSearchChoice, chosen
from antiphon.errors import ConfigError
from antiphon.net.http.address import UNIX
from antiphon.net.proxies import NONE, parse_proxy
from antiphon.net.url_guard import is_allowance

ENGINE = "engine"
"""The name under which `models.*.backends` means the embedded engine."""
EMBEDDING_ENGINE = "engine-embeddings"
"""The same of its second model."""
NEEDED = ("model", "messages", "input", "stream")
"""Request fields that cannot be dropped; `stream` has a setting of its own."""
UNNAMED = ("image_generation", "moderation", "rerank")
"""Types of models that requests need not name."""
SCHEMES = ("postgresql", "postgres")
_MODE = frozenset("01234567")


def check(config: Config) -> None:
    """Check all rules. Raises ConfigError."""
    for rule in (
        _address,
        _hosts,
        _origins,
        _proxies_in_front,
        _keys,
        _jwt,
        _workers,
        _store,
        _networks,
        _backends,
        _engine,
        _file_search,
        _models,
        _aliases,
        _default_models,
        _mcp_servers,
        _web_search,
        _code_interpreter,
        _image_generation,
        _guards,
    ):
        rule(config)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address, or a unix socket."""
    if host.startswith(UNIX):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_locked(config: Config) -> bool:
    """Tell whether requests need a key."""
    return bool(config.api_keys or config.admin_keys or config.keys or config.jwt or config.require_key)


def open_to_others(what: str) -> ConfigError:
    """Return the error for a server without keys that others could reach."""
    return ConfigError(
        f"{what} can be reached from other machines, and no API key is set. "
        "Set one with --api-key (or ANTIPHON_API_KEYS), set require_key and make some with `antiphon keys create`, "
        "or listen on 127.0.0.1."
    )


def _address(config: Config) -> None:
    if not is_locked(config) and not is_loopback(config.host):
        raise open_to_others(f"host: '{config.host}'")
    if config.host.startswith(UNIX) and not config.host.removeprefix(UNIX).startswith("/"):
        raise ConfigError(f"host: '{config.host}': expected unix:/path/of/socket")
    if not _MODE.issuperset(config.socket_mode) or len(config.socket_mode) not in (3, 4):
        raise ConfigError(f"socket_mode: '{config.socket_mode}' is not a mode in octal digits such as 660")
    root = config.root_path
    if root and (not root.startswith("/") or root.endswith("/") or "//" in root or not set(root).isdisjoint("?#% ")):
        raise ConfigError(f"root_path: '{root}' is not a path such as /ai, without a slash at its end")
    if config.tls_key and not config.tls_cert:
        raise ConfigError("tls_key: needs tls_cert")


def _hosts(config: Config) -> None:
    for name in config.allowed_hosts:
        plain = name.removeprefix("*.")
        if name != "*" and (
            not plain or not plain.isascii() or not plain.isprintable() or set(plain) & set(" */?#@\\")
        ):
            raise ConfigError(f"allowed_hosts: '{mask(name)}' is not a host such as ai.example.com or *.example.com")


def _proxies_in_front(config: Config) -> None:
    for index, entry in enumerate(config.trusted_proxies):
        try:
            if entry not in ("unix", "*"):
                ip_network(entry, strict=False)
        except ValueError:
            raise ConfigError(
                f"trusted_proxies[{index}]: '{entry}' is not a network such as 10.0.0.0/8, an address, 'unix' or '*'"
            ) from None


def _origins(config: Config) -> None:
    for index, entry in enumerate(config.cors_origins):
        if not is_origin(entry):
            raise ConfigError(
                f"cors_origins[{index}]: '{mask(entry)}' is not an origin such as https://chat.example.com, without a path"
            )


def _keys(config: Config) -> None:
    paths = {f"keys.{quoted(name)}.key": one.key for name, one in config.keys.items()}
    paths |= {f"api_keys[{index}]": key for index, key in enumerate(config.api_keys)}
    paths |= {f"admin_keys[{index}]": key for index, key in enumerate(config.admin_keys)}
    seen: dict[str, str] = {}
    for path, key in paths.items():
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError(f"{path}: a key must be printable ASCII without spaces, and not empty")
        if path.startswith(("keys.", "admin_keys[")) and key in seen:
            raise ConfigError(f"{path}: same key as {seen[key]}")
        seen[key] = path


def _jwt(config: Config) -> None:
    jwt = config.jwt
    if jwt is None:
        return
    if not jwt.audience:
        raise ConfigError("jwt.audience: must not be empty, so that tokens for other programs are refused")
    if jwt.jwks_url and jwt.key_file:
        raise ConfigError("jwt: expected either jwks_url or key_file")
    path, url = ("jwt.jwks_url", jwt.jwks_url) if jwt.jwks_url else ("jwt.issuer", jwt.issuer)
    if not jwt.key_file and not _is_http(url):
        raise ConfigError(f"{path}: '{mask(url)}' is not a URL such as https://login.example.com")


def _workers(config: Config) -> None:
    if config.workers > 1 and config.store == "memory":
        raise ConfigError('workers: several processes cannot share `store = "memory"`; name a file, or use one worker')


def _store(config: Config) -> None:
    scheme, is_url, _ = config.store.partition("://")
    if is_url:
        check_plugin(STORES, scheme, "store", SCHEMES)


def _networks(config: Config) -> None:
    for index, entry in enumerate(config.url_guard_allow):
        if not is_allowance(entry):
            raise ConfigError(
                f"url_guard_allow[{index}]: '{entry}' is not a network such as 10.0.0.0/8, an address, or a host name"
            )


def _backends(config: Config) -> None:
    for name, backend in config.backends.items():
        if name in (ENGINE, EMBEDDING_ENGINE):
            raise ConfigError(f"backends.{name}: this name is reserved for the embedded engine; choose another")
        check_plugin(BACKENDS, backend.api, f"backends.{quoted(name)}.api", tuple(BACKEND_APIS))
        path = f"backends.{quoted(name)}."
        if api_of(backend.api).http and not (_is_http(backend.url) or backend.url.startswith(UNIX)):
            raise ConfigError(
                f"{path}url: '{mask(backend.url)}' is not http://host:port/v1, https://… or unix:/path/of/socket:/v1"
            )
        if not _is_token(backend.key_header):
            raise ConfigError(f"{path}key_header: '{mask(backend.key_header)}' is not the name of a header")
        if backend.max_concurrent_of == "store" and not (backend.max_concurrent and backend.max_waiting):
            raise ConfigError(f'{path}max_concurrent_of: "store" needs max_concurrent and max_waiting above 0')
        if backend.proxy and backend.proxy != NONE:
            parse_proxy(backend.proxy, f"{path}proxy")


def _is_token(name: str) -> bool:
    return bool(name) and name.isascii() and name.replace("-", "").replace("_", "").isalnum()


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _file_search(config: Config) -> None:
    settings = config.tools.file_search
    if 2 * settings.overlap > settings.chunk_tokens:
        raise ConfigError(
            f"tools.file_search.overlap: is {settings.overlap}; at most half of chunk_tokens ({settings.chunk_tokens}) is allowed"
        )
    for name, value in (("embeddings", settings.embeddings), ("rerank", settings.rerank)):
        if value:
            _search_model(config, f"tools.file_search.{name}", value)


def _search_model(config: Config, path: str, value: str) -> None:
    """Check the name of a model that search uses: BACKEND/MODEL."""
    backend, _, model = value.partition("/")
    if not model:
        raise ConfigError(f"{path}: '{mask(value)}': expected BACKEND/MODEL with the name of an entry of backends")
    if backend == ENGINE:
        if path.endswith("rerank"):
            raise ConfigError(f"{path}: the embedded engine does not rerank; name a backend")
        if model.endswith(".gguf") and not Path(model).expanduser().is_file():
            raise ConfigError(f"{path}: file not found: '{model}'")
        if config.workers > 1:
            raise ConfigError("workers: the embedded engine runs in one process only; use one worker, or a backend")
    elif backend not in config.backends:
        known = [*config.backends, ENGINE]
        raise ConfigError(f"{path}: unknown backend '{backend}'{nearest(backend, known)}")
    elif config.backends[backend].api not in ("chat", "responses"):
        raise ConfigError(f"{path}: the backend '{backend}' does not speak OpenAI's API (`api` chat or responses)")


def _engine(config: Config) -> None:
    if config.engine is not None and config.workers > 1:
        raise ConfigError("workers: the embedded engine runs in one process only; use one worker, or a backend")
    if config.engine is None:
        return
    model = config.engine.model
    second = config.engine.embeddings
    further = [(f"engine.models[{at}]", name) for at, name in enumerate(config.engine.models) if name != ALL_MODELS]
    named = [("engine.model", model), ("engine.embeddings", second), *further]
    for path, file in (*named, ("engine.mmproj", config.engine.mmproj)):
        if file.endswith(".gguf") and not Path(file).expanduser().is_file():
            raise ConfigError(f"{path}: file not found: '{file}'")
    for path, name in named:
        if name and not Path(name).is_file() and "/" not in name:
            raise ConfigError(f"{path}: '{name}' is neither FILE.gguf nor a hub repository such as org/name:Q4_K_M")


def _models(config: Config) -> None:
    engines = (
        [ENGINE, EMBEDDING_ENGINE] if config.engine and config.engine.embeddings else [ENGINE] if config.engine else []
    )
    known = [*config.backends, *engines]
    for id, model in config.models.items():
        path = f"models.{quoted(id)}"
        if not 1 <= len(id) <= 255:
            raise ConfigError(f"{path}: an id must have 1 to 255 characters")
        kwargs = bytes(model.extra_body.get("chat_template_kwargs", b"{}"))
        if not kwargs.lstrip().startswith(b"{"):
            raise ConfigError(f"{path}.extra_body.chat_template_kwargs: expected a table")
        needed = next((name for name in model.drop if name in NEEDED), None)
        if needed is not None:
            raise ConfigError(f"{path}.drop: '{needed}' cannot be left out")
        for backend in model.backends:
            if backend not in known:
                raise ConfigError(f"{path}.backends: unknown backend '{backend}'{nearest(backend, known)}")


def _default_models(config: Config) -> None:
    for type in config.default_models:
        if type not in UNNAMED:
            raise ConfigError(f"default_models: '{mask(type)}' is none of {', '.join(UNNAMED)}")


def _aliases(config: Config) -> None:
    seen: dict[str, str] = {id: f"models.{quoted(id)}" for id in config.models}
    for path, alias in _all_aliases(config):
        if alias in seen:
            raise ConfigError(f"{path}: '{alias}' is already used by {seen[alias]}")
        seen[alias] = path


def _all_aliases(config: Config) -> Iterator[tuple[str, str]]:
    for id, model in config.models.items():
        for alias in model.aliases:
            yield f"models.{quoted(id)}.aliases", alias


def _mcp_servers(config: Config) -> None:
    for label, server in config.mcp_servers.items():
        check_plugin(TOOLS, server.kind, f"mcp_servers.{quoted(label)}.kind", (MCP,))
        if server.kind == MCP and bool(server.command) == bool(server.url):
            raise ConfigError(f"mcp_servers.{quoted(label)}: expected either a command or a url")


def _code_interpreter(config: Config) -> None:
    settings, path = config.tools.code_interpreter, "tools.code_interpreter"
    label, _, tool = settings.tool.partition("/")
    if settings.sandbox == "mcp" and (label not in config.mcp_servers or not tool):
        raise ConfigError(
            f"{path}.tool: '{settings.tool}' is not LABEL/TOOL with the label of an entry of mcp_servers, which"
            ' sandbox = "mcp" needs'
        )
    if settings.tool and settings.sandbox != "mcp":
        raise ConfigError(f'{path}.tool: is for sandbox = "mcp" alone')


def _web_search(config: Config) -> None:
    settings, path = config.tools.web_search, "tools.web_search"
    choice = web_search_choice(config)
    for index, entry in enumerate(settings.guard_allow):
        if not is_allowance(entry):
            raise ConfigError(f"{path}.guard_allow[{index}]: '{entry}' is neither a network nor a host name")
    if choice.provider == "mcp":
        label, _, tool = choice.tool.partition("/")
        if label not in config.mcp_servers or not tool:
            raise ConfigError(f"{path}.provider: expected mcp:LABEL/TOOL with the label of an entry of mcp_servers")
    elif choice.provider and choice.provider not in PROVIDER_NAMES:
        raise ConfigError(
            f"{path}.provider: '{choice.provider}' is none of {', '.join(PROVIDER_NAMES)}, mcp:LABEL/TOOL, off"
        )
    elif choice.provider == "searxng" and not choice.url:
        raise ConfigError(f'{path}.provider: SearXNG needs its address: provider = "searxng=http://127.0.0.1:8888"')
    elif choice.provider in KEYED and not settings.key:
        raise ConfigError(f"{path}.key: '{choice.provider}' needs a key (or ANTIPHON_TOOLS_WEB_SEARCH_KEY)")


def _image_generation(config: Config) -> None:
    settings = config.tools.image_generation
    path = "tools.image_generation"
    if settings.backend and settings.url:
        raise ConfigError(f"{path}: set either backend or url")
    if settings.backend and settings.backend not in config.backends:
        raise ConfigError(f"{path}.backend: there is no backend '{settings.backend}'")


def _guards(config: Config) -> None:
    for name, guard in config.guards.items():
        path = f"guards.{quoted(name)}"
        check_plugin(GUARDS, guard.kind, f"{path}.kind", (PATTERNS, MODERATION))
        if guard.kind == PATTERNS and not (guard.words or guard.patterns):
            raise ConfigError(f"{path}: expected words or patterns")
        if guard.kind == MODERATION and not guard.model:
            raise ConfigError(f"{path}.model: expected the id of a model that judges")


def web_search_choice(config: Config) -> WebSearchChoice:
    """Return which provider searches the web for a server with these settings."""
    return chosen(config.tools.web_search, alone=is_loopback(config.host) and not is_locked(config))
