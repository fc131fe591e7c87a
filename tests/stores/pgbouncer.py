"""A real PgBouncer in front of the tests' PostgreSQL (Debian: apt-get install pgbouncer)."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

INI = """
[databases]
* = host={folder} port=5432

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 200
"""


@contextlib.contextmanager
def pooled(url: str, mode: str, size: int = 20, ini: str = INI) -> Iterator[str]:
    """Run PgBouncer with its defaults but for the mode and the size, or with another `ini`; gives the URL of the database
    through it.

    A test that calls it is marked `needs("pgbouncer")`.
    """
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    parts = urlsplit(url)
    socket_folder = Path(parse_qs(parts.query)["host"][0])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="antiphon-pgbouncer-"))
    folder.chmod(0o755)
    (folder / "users").write_text('"postgres" "secret"\n')
    (folder / "ini").write_text(
        ini.format(folder=socket_folder, port=port, users=folder / "users", mode=mode, size=size)
    )
    owner = socket_folder.stat().st_uid
    other = {"user": owner} if os.geteuid() == 0 else {}
    process = subprocess.Popen([program, "-q", str(folder / "ini")], stderr=subprocess.DEVNULL, **other)  # type: ignore[call-overload]
    try:
        _wait_for(port)
        yield f"postgresql://postgres:secret@127.0.0.1:{port}{parts.path}?sslmode=disable"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
