"""`python -m antiphon.server.process.worker`: one of several processes, started by `server/process/supervisor.py`."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
import threading

import msgspec

from antiphon.errors import ConfigError
from antiphon.server.process.run import load_factory, make_server, run
from antiphon.server.process.sockets import Listeners
from antiphon.server.process.supervisor import RELOAD, WorkerTask, lines, obey
from antiphon.telemetry.log import set_up

log = logging.getLogger("antiphon.server.process")


def main() -> int:
    """Serve on inherited sockets; return the exit code."""
    gc.disable()  # until all is loaded, as in `cli.serve`
    orders = lines()
    task = msgspec.json.decode(next(orders), type=WorkerTask)
    set_up(task.config.log_level, task.config.log_format)
    sockets = [socket.socket(fileno=number) for number in task.sockets]
    try:
        app = load_factory(task.app_factory)(task.config)
        server = make_server(app, task.config)
        if task.reloads:
            app.reload_settings = ask_supervisor
    except ConfigError as error:
        log.error("%s", error)
        return 1
    threading.Thread(target=obey, args=(orders, server.reload_soon), daemon=True).start()
    return run(app, server, Listeners(sockets))


def ask_supervisor() -> bool:
    """Ask the process that started this one to read the settings again."""
    os.kill(os.getppid(), RELOAD)
    return False


if __name__ == "__main__":
    sys.exit(main())
