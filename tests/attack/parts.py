"""The parts of the campaign by name."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.attack import fuzz
from tests.attack.cases import known
from tests.attack.report import Report
from tests.attack.target import KEYS, Target, backends, target
from tests.attack.upstream import echo, restless, upstream
from tests.attack.web import web
from tests.stores.postgres_server import running

PROMPTS = """
[prompts.p]
model = "chat-generic"
instructions = "{{v1}} and {{v2}}"
input = [{type = "message", role = "user", content = "{{v3}} {{v4}}"}]
"""


class Options(NamedTuple):
    """What the command line says. `count` 0: the part's own."""

    seed: int = 1
    count: int = 0
    minutes: float = 60.0
    only: str = ""
    case: int = -1
    store: str = "sqlite"
    rate: float = 40.0


Part = Callable[[Report, Options], Awaitable[None]]


@asynccontextmanager
async def common_target(store: str = "antiphon.db") -> AsyncIterator[Target]:
    """Run a server with several keys in front of backends of several kinds."""
    with tempfile.TemporaryDirectory(prefix="antiphon-attack-") as name:
        async with upstream() as url, echo() as (other, _), restless() as third, web() as site:
            more = "".join(
                f'\n[backends.{name}]\nurl = "{at}"\ndiscover = false\n[models.{name}]\nbackends = ["{name}"]\nname = "one"'
                for name, at in (("echo", other), ("restless", third))
            )
            more += f'\n[backends.anthropic]\nurl = "{url}"\napi = "anthropic"\ndiscover = false'
            more += '\n[models.claude]\nbackends = ["anthropic"]\nname = "one"'
            async with target(Path(name), KEYS + backends(url) + more + tools(site) + PROMPTS, store=store) as one:
                yield one


def tools(site: str) -> str:
    """Return settings of hosted tools: web search asks `site`, and may open its pages."""
    return f"""
[tools.web_search]
provider = "searxng"
url = "{site}"
guard_allow = ["127.0.0.1"]
timeout = 3.0
[tools.file_search]
max_stores = 1_000_000
[tools.code_interpreter]
max_containers = 1_000_000
call_seconds = 2.0
per_owner = 1
total = 2
"""


async def run_fuzz(report: Report, options: Options) -> None:
    """Send mutants over HTTP and WebSocket; `--store postgres`: to a server whose store is PostgreSQL."""
    async with AsyncExitStack() as stack:
        store = "antiphon.db"
        if options.store == "postgres":
            store = await asyncio.to_thread(stack.enter_context(running()).create, "fuzz")
        one = await stack.enter_async_context(common_target(store))
        if options.case >= 0:
            run = fuzz.fuzz_ws if options.only == "ws" else fuzz.fuzz_http
            await run(one, report, await known(one), seed=options.seed, count=1, first=options.case)
        else:
            await fuzz.run_fuzz(one, report, seed=options.seed, count=options.count or 100_000, only=options.only)


async def run_tenants(report: Report, options: Options) -> None:
    """Try to read and use what is another's, on both databases."""
    from tests.attack.tenants import run_tenants as run

    with tempfile.TemporaryDirectory(prefix="antiphon-attack-") as name:
        if options.only in ("", "sqlite"):
            await run(Path(name) / "sqlite", report, "antiphon.db", "sqlite")
        if options.only in ("", "postgres"):
            with running() as postgres:
                url = await asyncio.to_thread(postgres.create, "tenants")
                await run(Path(name) / "postgres", report, url, "postgres")


async def run_growth(report: Report, options: Options) -> None:
    """Feed every parser with inputs of growing size."""
    from tests.attack.growth import run_growth as run

    async with common_target() as one:
        await run(one, report, options.only)


async def run_kill(report: Report, options: Options) -> None:
    """Kill the server with SIGKILL at random moments."""
    from tests.attack.kill import run_kill as run

    with tempfile.TemporaryDirectory(prefix="antiphon-attack-") as name:
        await run(Path(name), report, seed=options.seed, count=options.count or 1000)


async def run_documents(report: Report, options: Options) -> None:
    """Send hostile schemas, grammars, files and URLs."""
    from tests.attack.documents import run_documents as run

    async with common_target() as one:
        await run(one, report, options.only)


async def run_backends(report: Report, options: Options) -> None:
    """Let hostile backends answer."""
    from tests.attack.hostile import run_backends as run

    with tempfile.TemporaryDirectory(prefix="antiphon-attack-") as name:
        await run(Path(name), report, options.only)


async def run_mcp(report: Report, options: Options) -> None:
    """Let hostile MCP servers answer."""
    from tests.attack.hostile import run_mcp as run

    with tempfile.TemporaryDirectory(prefix="antiphon-attack-") as name:
        await run(Path(name), report, options.only)


async def run_web(report: Report, options: Options) -> None:
    """Let a hostile provider of search answer, and open hostile pages."""
    from tests.attack.hostile import run_web as run

    with tempfile.TemporaryDirectory(prefix="antiphon-attack-") as name:
        await run(Path(name), report, options.only)


async def run_storage(report: Report, options: Options) -> None:
    """Break the store under a running server."""
    from tests.attack.storage import run_storage as run

    with tempfile.TemporaryDirectory(prefix="antiphon-attack-") as name:
        await run(Path(name), report, options.only)


async def run_soak(report: Report, options: Options) -> None:
    """Load the server for a long time."""
    from tests.attack.soak import run_soak as run

    async with common_target() as one:
        await run(one, report, seed=options.seed, minutes=options.minutes, rate=options.rate)


PARTS: dict[str, Part] = {
    "fuzz": run_fuzz,
    "tenants": run_tenants,
    "growth": run_growth,
    "documents": run_documents,
    "backends": run_backends,
    "mcp": run_mcp,
    "web": run_web,
    "storage": run_storage,
    "kill": run_kill,
    "soak": run_soak,
}
