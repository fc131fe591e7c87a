"""The model by rule (`tests/clients/capable.py`) as a chat completions backend: `python -m tests.conformance.rule_model PORT`.

Servers that translate are compared in front of it: what they answer does not hang on what a small model happens to say.
"""

from __future__ import annotations

import json
import sys
from http.server import ThreadingHTTPServer

from tests.clients import upstream
from tests.clients.capable import answer

MODEL = "demo"


class RuleModel(upstream.Upstream):
    """The one model, under the name that the demo model has elsewhere."""

    def do_GET(self) -> None:  # noqa: N802
        """List the model, or tell health."""
        model = {"id": MODEL, "object": "model", "created": 1, "owned_by": "tests", "max_model_len": 131_072}
        body = json.dumps({"object": "list", "data": [model]} if "models" in self.path else {"status": "ok"}).encode()
        self._head(200, "application/json", ("content-length", str(len(body))))
        self.wfile.write(body)


def main(port: int) -> None:
    """Serve until the process is killed."""
    upstream.THINKERS[MODEL] = answer
    ThreadingHTTPServer(("127.0.0.1", port), RuleModel).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
