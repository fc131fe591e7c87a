"""ContainerEngine: sandboxes by docker or podman, through their command line. Only where the settings name it.

The sandbox speaks over its standard input and output. Nothing is pulled: the image has to be there, with a Python. The engine's
own limits hold memory and processes; its containers get the filter of system calls that bubblewrap's get, as a profile.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from antiphon.tools.sandbox import seccomp
from antiphon.tools.sandbox.base import FOLDER, NOTHING_KNOWN, SKILLS, Command, Interior, SandboxError, SandboxLimits
from antiphon.tools.sandbox.bubblewrap import ENVIRONMENT, HOME, NOBODY, SMALL

ASK_SECONDS = 15
OWN_PROCESSES = 8  # the supervisor, the interpreter, and what they need


class ContainerEngine:
    """Starts sandboxes as containers of an `image`; `runtime` is the engine's, such as runsc."""

    known: Mapping[str, str] = NOTHING_KNOWN

    def __init__(self, name: str, image: str, runtime: str = "", path: str | None = None) -> None:
        self.name = name
        self._image = image
        self._runtime = runtime
        self._path = path or shutil.which(name) or ""
        self._profile = ""

    def unusable(self) -> str | None:
        """Say why it cannot be used here."""
        if not self._path:
            return f"{self.name} is not installed"
        if seccomp.architecture() is None:
            return "there is no table of system calls for this processor"
        reason = self._asked("info")
        if reason:
            return f"the engine does not answer: {reason}"
        if self._asked("image", "inspect", self._image):
            return f"the image {self._image} is not there: {self.name} pull {self._image}"
        return None

    def _asked(self, *words: str) -> str:
        """Ask the engine something; return why it refuses, "" where it does not."""
        try:
            said = subprocess.run(  # noqa: S603 (found by the operator's PATH)
                [self._path, *words], capture_output=True, timeout=ASK_SECONDS, check=False, env=_environment()
            )
        except (OSError, subprocess.SubprocessError) as error:
            return type(error).__name__
        lines = said.stderr.decode(errors="replace").strip().splitlines()
        return "" if said.returncode == 0 else (lines[-1][:200] if lines else f"status {said.returncode}")

    def command(self, interior: Interior, limits: SandboxLimits, program: Sequence[str], socket: int) -> Command:
        """Return the command. The container ends with its standard input, and is removed."""
        name = f"antiphon-{secrets.token_hex(8)}"
        engine = [self._path, "run", "--rm", "--interactive", "--name", name, "--pull", "never"]
        if self._runtime:
            engine += ["--runtime", self._runtime]
        memory = str(limits.memory + (64 << 20))  # the interpreter itself comes in addition
        engine += [
            *("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--security-opt", f"seccomp={self._profile_path()}", "--user", f"{NOBODY}:{NOBODY}"),
            *("--hostname", "sandbox", "--ipc", "private", "--shm-size", str(SMALL), "--workdir", FOLDER),
            *("--memory", memory, "--memory-swap", memory, "--pids-limit", str(limits.processes + OWN_PROCESSES)),
            *_folder(FOLDER, limits.disk),
            *_folder("/tmp", limits.disk),  # noqa: S108 (the sandbox's own)
            *_folder(HOME, SMALL),
            *_folder(SKILLS, SMALL),
            *(word for name, value in ENVIRONMENT.items() for word in ("--env", f"{name}={value}")),
            *("--entrypoint", interior.python, self._image, *program),
        ]
        return Command(
            arguments=engine,
            environment=_environment(),
            own_processes=True,
            stdio=True,
            image=True,
            end=(self._path, "rm", "--force", name),
        )

    def _profile_path(self) -> str:
        """Return the file of the filter, which the command line reads."""
        if not self._profile or not os.path.exists(self._profile):
            machine = seccomp.architecture()
            if machine is None:
                raise SandboxError("there is no table of system calls for this processor")
            handle, self._profile = tempfile.mkstemp(prefix="antiphon-seccomp-", suffix=".json")
            with os.fdopen(handle, "w") as file:
                json.dump(seccomp.profile(machine), file)
        return self._profile


def _folder(path: str, size: int) -> tuple[str, str]:
    return "--tmpfs", f"{path}:rw,nosuid,nodev,size={size},mode=1777"


def _environment() -> dict[str, str]:
    """Return what of the server's environment the command line needs to find its engine."""
    wanted = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST")
    return {name: os.environ[name] for name in wanted if name in os.environ}
