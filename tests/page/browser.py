"""A headless Chromium, driven over its DevTools protocol: no driver, nothing to install but the browser."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests import needs

Tabs = Callable[[], contextlib.AbstractContextManager["Page"]]

PATIENCE = 20.0
FLAGS = (
    "--headless --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-dev-shm-usage --hide-scrollbars --force-device-scale-factor=1 --remote-debugging-port=0"
).split()


class Page:
    """A tab. `requests` are the addresses that it asked for, `problems` what its console complains of."""

    def __init__(self, socket: ClientConnection) -> None:
        self.requests: list[str] = []
        self.problems: list[str] = []
        self._socket = socket
        self._number = 0
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come before it are noted."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message.get("method"), message.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(json.dumps(params["entry"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(params["args"]))

    def js(self, expression: str) -> Any:
        """Return an expression's value; a promise is waited for."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        """Return once an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.js(f"!!({expression})"):
            assert time.monotonic() < deadline, f"{expression}\n{self.js('document.body.innerText')}"
            time.sleep(0.02)

    def goto(self, url: str) -> None:
        """Open an address and wait for the page's own sign that it is ready."""
        self.send("Page.navigate", url=url)
        self.wait("document.documentElement?.dataset.ready === 'yes'")

    def reload(self) -> None:
        """Load the page anew."""
        self.js("delete document.documentElement.dataset.ready")
        self.send("Page.reload")
        self.wait("document.documentElement?.dataset.ready === 'yes'")

    def leave(self) -> None:
        """Leave the page: from now on it asks for nothing."""
        self.send("Page.navigate", url="about:blank")

    def text(self, selector: str) -> str:
        """Return what a person reads in an element, "" where it is not there."""
        return str(self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a mouse does."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.wait(f"!!{found}?.checkVisibility()")
        box = self.js(
            f"(() => {{ {found}.scrollIntoView({{block: 'center'}}); const b = {found}.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def type(self, selector: str, text: str) -> None:
        """Put text into a field in the place of what is there."""
        self.wait(f"document.querySelector({json.dumps(selector)})?.checkVisibility()")
        self.js(f"document.querySelector({json.dumps(selector)}).select()")
        self.js(f"document.querySelector({json.dumps(selector)}).focus()")
        self.send("Input.insertText", text=text)

    def press(self, key: str, *, control: bool = False) -> None:
        """Press a key."""
        text = {"Enter": "\r"}.get(key, "") if not control else ""
        code = {"Enter": 13, "Tab": 9, "Escape": 27}[key]
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 2 if control else 0}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def look(self, width: int = 1440, height: int = 900, *, dark: bool = False) -> None:
        """Set the window's size and the colours that the person prefers."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.send("Emulation.setEmulatedMedia", features=[scheme, still])

    def screenshot(self, path: Path) -> None:
        """Write a picture of the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Tabs]:
    """Run a browser with a fresh profile; gives what opens a tab with a storage of its own, until its block ends."""
    program = needs.program(*needs.CHROMIUM)
    assert program is not None, "the tests that need it are skipped without it: tests/needs.py"
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [program, *FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _port(profile / "DevToolsActivePort", process)
        yield lambda: _tab(port)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _port(file: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Return the port and the path of the browser's own socket."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            lines = file.read_text().split("\n")
            if len(lines) == 2:
                return lines[0], lines[1]
        time.sleep(0.02)
    raise AssertionError("The browser does not start.")


@contextlib.contextmanager
def _tab(port: tuple[str, str]) -> Iterator[Page]:
    number, path = port
    with connect(f"ws://127.0.0.1:{number}{path}", max_size=None) as browser:

        def command(id: int, method: str, **params: Any) -> Any:
            browser.send(json.dumps({"id": id, "method": method, "params": params}))
            while (message := json.loads(browser.recv(timeout=PATIENCE))).get("id") != id:
                pass
            return message["result"]

        context = command(1, "Target.createBrowserContext")["browserContextId"]
        target = command(2, "Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        with connect(f"ws://127.0.0.1:{number}/devtools/page/{target}", max_size=None) as socket:
            yield Page(socket)
        command(3, "Target.disposeBrowserContext", browserContextId=context)
