"""Kill the server with `kill -9` at random moments of background runs with tools, start it again, look for what was lost.

python -m tests.acceptance.kill9 [MOMENTS]
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

from tests.acceptance.background import Follower, Model, Tools, check, running
from tests.acceptance.command import serving

AT_ONCE = 6
LONGEST = 3.0  # seconds that a run takes, about
PATIENCE = 40.0

CONFIG = """
store = "antiphon.db"
background_lease = 1.5
url_guard_allow = ["127.0.0.0/8"]
[backends.model]
url = "{url}/v1"
"""


def moment(folder: Path, tools_url: str, after: float) -> Counter[str]:
    """Start some runs, kill the server `after` some seconds, restart it, and return how the runs ended."""
    followers = [Follower(tools_url + "/mcp") for _ in range(AT_ONCE)]
    with serving(folder, "--config", "antiphon.toml") as first:
        for follower in followers:
            follower.url = first.url
            follower.start()
        time.sleep(after)
        first.process.kill()
        first.process.wait()
    with serving(folder, "--config", "antiphon.toml") as second:
        for follower in followers:
            follower.url = second.url
        deadline = time.monotonic() + PATIENCE
        for follower in followers:
            follower.join(max(0.1, deadline - time.monotonic()))
        return Counter(_ending(follower) for follower in followers)


def _ending(follower: Follower) -> str:
    if not follower.id:
        return "never begun"  # killed before the client was told of it
    with urllib.request.urlopen(f"{follower.url}/v1/responses/{follower.id}", timeout=20) as reply:
        return check(follower, json.load(reply))


def main(moments: int) -> None:
    """Try some moments and print what happened."""
    total: Counter[str] = Counter()
    with running(Model) as model_url, running(Tools) as tools_url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "antiphon.toml").write_text(CONFIG.format(url=model_url))
        for number in range(moments):
            after = random.uniform(0.0, LONGEST)  # a moment, not a secret
            endings = moment(folder, tools_url, after)
            total += endings
            print(f"{number + 1:3}  killed after {after:.2f} s: {dict(endings)}", flush=True)
    print(f"{sum(total.values())} runs, {dict(total)}: nothing lost, nothing run twice, no gap")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
