"""A tab without Playwright, which keeps every page it drives visible: this one can be hidden."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.browser.conftest import PATIENCE_S
from websockets.sync.client import ClientConnection, connect


class BareTab:
    """A page, driven by https://chromedevtools.github.io/devtools-protocol/."""

    def __init__(self, address: str, target: dict[str, Any], socket: ClientConnection) -> None:
        self._address = address
        self._target = target
        self._socket = socket
        self._numbers = itertools.count()

    def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression gives, as JSON; None while there is no page yet."""
        number = next(self._numbers)
        parameters = {"expression": expression, "returnByValue": True}
        call = {"id": number, "method": "Runtime.evaluate", "params": parameters}
        self._socket.send(json.dumps(call))
        while (answer := json.loads(self._socket.recv(PATIENCE_S))).get("id") != number:
            pass
        if "error" in answer:
            return None
        assert "exceptionDetails" not in answer["result"], answer
        return answer["result"]["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait for an expression to become true."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"never true: {condition}"
            time.sleep(0.05)

    def hide(self) -> None:
        """Open another tab before it."""
        httpx.put(f"{self._address}/json/new?about:blank").raise_for_status()
        self.until("document.visibilityState === 'hidden'")

    def show(self) -> None:
        """Bring it to the front again."""
        httpx.get(f"{self._address}/json/activate/{self._target['id']}").raise_for_status()
        self.until("document.visibilityState === 'visible'")


@contextmanager
def bare_tab(program: str, flags: Sequence[str], folder: Path, url: str) -> Iterator[BareTab]:
    """A tab of a browser of its own, whose profile goes into `folder`."""
    command = [program, *flags, f"--user-data-dir={folder}", "--remote-debugging-port=0", url]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as browser:
        try:
            address = f"http://127.0.0.1:{_read_port(folder / 'DevToolsActivePort')}"
            target = next(_pages(address))
            with connect(target["webSocketDebuggerUrl"], max_size=None) as socket:
                yield BareTab(address, target, socket)
        finally:
            browser.terminate()


def _read_port(path: Path) -> int:
    deadline = time.monotonic() + PATIENCE_S
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.05)
    return int(path.read_text().splitlines()[0])


def _pages(address: str) -> Iterator[dict[str, Any]]:
    for target in httpx.get(f"{address}/json").json():
        if target["type"] == "page":
            yield target
