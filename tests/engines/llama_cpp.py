"""llama.cpp's own HTTP server on a port, with the demo model: `python -m tests.engines.llama_cpp PORT`."""

from __future__ import annotations

import sys
import threading

import xllamacpp

from tests.engines.install import MODEL_FILE

CONTEXT = 2048
SLOTS = 4


def main(port: int) -> None:
    """Serve until the process is killed."""
    settings = xllamacpp.CommonParams()
    settings.model.path = str(MODEL_FILE)
    settings.model_alias = {"demo"}
    settings.hostnames = ["127.0.0.1"]
    settings.port = port
    settings.ui = False
    settings.n_parallel = SLOTS
    settings.n_ctx = CONTEXT * SLOTS
    settings.n_gpu_layers = 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.warmup = False
    _server = xllamacpp.Server(settings)
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
