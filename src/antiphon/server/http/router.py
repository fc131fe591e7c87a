"""Paths → handlers. Every route answers with and without `/v1`; a path's variable may be raw or percent-encoded."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from functools import lru_cache
from urllib.parse import unquote

import msgspec

from antiphon.access.caller import CHAT, EMBEDDINGS, IMAGES, MODERATIONS, READ, RESPONSES
from antiphon.errors import APIError
from antiphon.server.http.messages import Handler
from antiphon.server.http.response_head import OPENAI, AnswerForm
from antiphon.server.ws.asgi_socket import ASGIWebSocket

WebSocketHandler = Callable[[ASGIWebSocket], Awaitable[None]]

_VARIABLE = re.compile(r"\{(\w+)(:path)?\}")
MOST_COMPARED = 60
"""Characters of an unknown path that are compared with the routes."""
NO_PARAMS: Mapping[str, str] = {}
WRITING = frozenset((RESPONSES,))
READING = frozenset((RESPONSES, READ))
BATCHING = frozenset((RESPONSES, CHAT, EMBEDDINGS, MODERATIONS, IMAGES))
"""Scopes of which a key needs one for batches and their files; which endpoints and files those are is the handlers' matter."""


class HttpRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. `path` is a template without `/v1`: `/models/{id:path}` takes an id with slashes."""

    method: str
    path: str
    handler: Handler
    public: bool = False
    """Answers without a key."""
    scopes: Set[str] = WRITING
    """A caller needs one of them."""
    form: AnswerForm = OPENAI
    """How its errors look, those that come before its handler too."""


class Match(msgspec.Struct, frozen=True):
    """A route and its variables."""

    route: HttpRoute
    path: str
    params: Mapping[str, str] = NO_PARAMS


class _Template:
    """A path template and its methods."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pattern = _pattern(path)
        self.methods: dict[str, HttpRoute] = {}
        self.websocket: WebSocketHandler | None = None
        self.upgrades = False

    def allow(self) -> str:
        methods = {*self.methods, "OPTIONS"}
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods))


class RouteTable:
    """The table of routes."""

    def __init__(self) -> None:
        self._templates: dict[str, _Template] = {}
        self._fixed: dict[tuple[str, bytes], Match] = {}  # of paths without variables, by method

    def add(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        public: bool = False,
        scopes: Set[str] | None = None,
        form: AnswerForm = OPENAI,
    ) -> None:
        """Register a handler. `scopes`: one of them is needed; None: `responses`, or `read` where it only reads.

        `form` is how its errors look. Raises ValueError if the path has a handler for this method.
        """
        template = self._template(path)
        if method in template.methods:
            raise ValueError(f"{method} {path} has two handlers")
        needed = (READING if method == "GET" else WRITING) if scopes is None else scopes
        self._set(HttpRoute(method=method, path=path, handler=handler, public=public, scopes=needed, form=form))

    def wrap(self, around: Callable[[HttpRoute], Handler]) -> None:
        """Replace each route's handler by what `around` makes of the route."""
        for route in self.routes:
            self._set(msgspec.structs.replace(route, handler=around(route)))

    def _set(self, route: HttpRoute) -> None:
        path = route.path
        self._templates[path].methods[route.method] = route
        if "{" not in path:
            match = Match(route, path)
            self._fixed[route.method, path.encode()] = self._fixed[route.method, b"/v1" + path.encode()] = match

    def websocket(self, path: str, handler: WebSocketHandler | None) -> None:
        """Register a handler of WebSocket connections; with None the path says 426 to whoever asks for one."""
        template = self._template(path)
        template.upgrades = True
        template.websocket = handler

    @property
    def routes(self) -> list[HttpRoute]:
        """All routes, in the order of registration."""
        return [route for template in self._templates.values() for route in template.methods.values()]

    def match(self, method: str, raw_path: bytes) -> Match:
        """Find the route. Raises APIError 404; 405 with `Allow`; 426 where only an upgrade would do."""
        match = self._fixed.get((method, raw_path))
        if match is not None:
            return match
        template, path, params = self._find(raw_path)
        route = template.methods.get(method) or (template.methods.get("GET") if method == "HEAD" else None)
        if route is None:
            raise _refusal(template, method, _prefix(raw_path))
        return Match(route, path, params)

    def match_websocket(self, raw_path: bytes) -> WebSocketHandler:
        """Find the handler of a WebSocket connection. Raises APIError 404, or 426 where they are switched off."""
        template, _, _ = self._find(raw_path)
        if template.websocket is None:
            raise upgrade_required() if template.upgrades else _not_found(raw_path, self._templates)
        return template.websocket

    def allowed(self, raw_path: bytes) -> str:
        """Return the methods of a path, for OPTIONS. Raises APIError 404."""
        return self._find(raw_path)[0].allow()

    def form(self, raw_path: bytes) -> AnswerForm:
        """Return how an error on a path looks, whatever the method; where there is nothing, as on the path above it."""
        try:
            methods = self._find(raw_path)[0].methods
        except APIError:
            first = plain_path(raw_path).removeprefix("/v1/").strip("/").partition("/")[0]
            above = self._templates.get(f"/{first}")
            methods = above.methods if above is not None else {}
        return next((route.form for route in methods.values()), OPENAI)

    def _template(self, path: str) -> _Template:
        template = self._templates.get(path)
        if template is None:
            template = self._templates[path] = _Template(path)
        return template

    def _find(self, raw_path: bytes) -> tuple[_Template, str, Mapping[str, str]]:
        path = plain_path(raw_path)
        template = self._templates.get(path)
        if template is not None and "{" not in path:
            return template, path, NO_PARAMS
        for template in self._templates.values():
            found = template.pattern.fullmatch(path)
            if found:
                return template, path, {name: unquote(value) for name, value in found.groupdict().items()}
        raise _not_found(raw_path, self._templates)


def plain_path(raw_path: bytes) -> str:
    """Return a path, still percent-encoded, without `/v1` and without a slash at its end."""
    path = raw_path.decode("ascii", "replace")
    if path == "/v1" or path.startswith("/v1/"):
        path = path[3:]
    return path.rstrip("/") or "/"


def upgrade_required() -> APIError:
    """Return the 426 for a path that speaks WebSocket."""
    return APIError(
        426,
        "GET on this path needs a WebSocket upgrade. Without one, use POST.",
        code="upgrade_required",
        type="invalid_request_error",
        headers={"upgrade": "websocket", "connection": "upgrade"},
    )


def _prefix(raw_path: bytes) -> str:
    """Return the `/v1` that a path came with, or nothing: an error names the path as the client knows it."""
    return "/v1" if raw_path.startswith(b"/v1/") else ""


def _refusal(template: _Template, method: str, prefix: str) -> APIError:
    if method == "GET" and template.upgrades:
        return upgrade_required()
    message = f"Method {method} is not allowed on {prefix}{template.path.replace(':path}', '}')}."
    return APIError(405, message, code="method_not_allowed", headers={"allow": template.allow()})


def _not_found(raw_path: bytes, templates: Iterable[str]) -> APIError:
    path, prefix = unquote(plain_path(raw_path)), _prefix(raw_path)
    hint = " ('/v1' stands in it twice: leave it out of the base URL)" if prefix and path.startswith("/v1/") else ""
    if not hint and (near := _nearest(path[:MOST_COMPARED], templates)):
        hint = f" (did you mean {prefix}{near}? GET /docs lists all)"
    return APIError(404, f"Unknown path: {prefix}{path[:200]}{hint}", code="not_found")


def _nearest(path: str, templates: Iterable[str]) -> str:
    """Return the route without variables that a path begins or almost is, "" where there is none."""
    from difflib import get_close_matches

    fixed = [template for template in templates if "{" not in template]
    begun = [template for template in fixed if template.startswith(f"{path}/")]
    return next(iter(begun or get_close_matches(path, fixed, n=1, cutoff=0.75)), "")


@lru_cache(maxsize=512)
def _pattern(path: str) -> re.Pattern[str]:
    """Compile a template: a plain variable ends at a slash, `{name:path}` doesn't."""
    parts, end = [], 0
    for variable in _VARIABLE.finditer(path):
        parts.append(re.escape(path[end : variable.start()]))
        parts.append(f"(?P<{variable[1]}>{'.+' if variable[2] else '[^/]+'})")
        end = variable.end()
    parts.append(re.escape(path[end:]))
    return re.compile("".join(parts))
