"""What stands in for `docker` in tests: it notes what it is asked, and runs a container's program in bubblewrap.

`python -m` is not used: it is copied as a program of its own. `FAKE_ENGINE` is the folder of its notes; a file `refuse` there
names the command that fails.
"""

from __future__ import annotations

import json
import os
import sys

NOTES = os.environ["HOME"]  # all of the server's environment that it gets


def main(words: list[str]) -> None:
    """Do as the engine does."""
    with open(os.path.join(NOTES, "asked.jsonl"), "a") as file:
        file.write(json.dumps([word for word in words if len(word) < 1000]) + "\n")
    refused = os.path.join(NOTES, "refuse")
    if os.path.exists(refused) and open(refused).read() == words[0]:  # noqa: SIM115
        sys.exit(f"Cannot {words[0]}: no such thing")
    if words[0] != "run":
        return
    image = words.index("an-image:1")
    python = words[words.index("--entrypoint") + 1]
    folders = "--bind / / --dev /dev --proc /proc --tmpfs /tmp --tmpfs /mnt --dir /mnt/data"
    inner = ["bwrap", "--unshare-pid", *folders.split(), "--die-with-parent"]
    os.execvp("bwrap", [*inner, python, *words[image + 1 :]])


if __name__ == "__main__":
    main(sys.argv[1:])
