"""CPU per token of servers that pass requests on, measured with the mock backend and the load of `bench`, in one run."""

from __future__ import annotations

import datetime
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.harness import bench as harness

from tests.conformance.rivals import RIVALS
from tests.engines.install import program_of

Json = dict[str, Any]
WORK = "B"
"""64 streams at a time of 200 tokens each."""
REPEATS = 3
PORT = 19495
CONF = Path(harness.__file__).parent / "conf"


def _peers(folder: Path) -> list[Json]:
    mock = f"http://127.0.0.1:{harness.MOCK_PORT}"
    address = ["--port", str(PORT)]
    shared = {"api": "responses", "path": "/v1/responses", "port": PORT, "model": "{m}", "extra": {"store": False}}
    antiphon = [sys.executable, "-m", "antiphon", "serve", *address, "--backend", f"{mock}/v1", "--store", "memory"]
    agentic = [program_of("agentic_api", "agentic-server"), "--llm-api-base", mock, "--gateway-host", "127.0.0.1"]
    agentic += ["--gateway-port", str(PORT), "--db-url", f"sqlite://{folder}/agentic.db?mode=rwc"]
    litellm = [
        program_of("litellm", "litellm"),
        "--config",
        str(CONF / "litellm.yaml"),
        "--host",
        "127.0.0.1",
        *address,
    ]
    quiet = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    return [
        {**shared, "name": "antiphon", "cmd": antiphon},
        {**shared, "name": "agentic_api", "cmd": agentic},
        {**shared, "name": "litellm", "cmd": litellm, "env": quiet},
    ]


def measured() -> Json:
    """Measure each server, one after another. One that cannot be measured is named with the reason."""
    harness.build()
    load = os.getloadavg()[0]  # before ours; what waits for a core is not counted, colder caches are
    rows = []
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        mock = harness.start_mock()
        try:
            for peer in _peers(Path(folder)):
                rows.append(_measured(peer, mock.pid, folder))
                print(rows[-1], flush=True)
        finally:
            mock.kill()
            mock.wait()
    machine = f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), Python {platform.python_version()}"
    machine += f", with a load of {load:.1f} from other work"
    return {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "machine": machine, "rows": rows}


def _measured(peer: Json, mock: int, folder: str) -> Json:
    server = harness.Server(peer)
    title = RIVALS[peer["name"]].title
    try:
        server.start(folder)
        found = harness.measure(peer, server.pid, mock, WORK, REPEATS, folder)
    except (RuntimeError, OSError, SystemExit) as error:
        return {"title": title, "us": "not measured", "errors": str(error)[-120:]}
    finally:
        server.stop()
    if "cpu_us_tok" not in found:
        return {"title": title, "us": "not measured", "errors": str(found.get("error"))[:120]}
    return {"title": title, "us": f"{found['cpu_us_tok']:.1f} µs", "errors": found["errors"]}
