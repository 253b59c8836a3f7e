"""Firefox: detection in the page and on the server, and a call, driven by WebDriver BiDi."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import PATIENCE_S
from tests.server.rtc_network import address_for_ice
from websockets.sync.client import ClientConnection, connect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_SETTINGS = {
    "remote.active-protocols": 1,  # WebDriver BiDi
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class Firefox:
    """One running Firefox. Contexts are its tabs."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0
        self.ask("session.new", capabilities={})
        self.first = str(self.ask("browsingContext.getTree")["contexts"][0]["context"])

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(timeout=60))).get("id") != self._count:
            pass  # an event
        assert answer["type"] == "success", answer
        return dict(answer["result"])

    def open(self, url: str, context: str | None = None) -> str:
        """Load it, in a new window where no context is given: the context."""
        context = context or self.ask("browsingContext.create", type="window")["context"]
        self.ask("browsingContext.navigate", context=context, url=url, wait="complete")
        return context

    def evaluate(self, expression: str, context: str) -> Any:
        answer = self.ask(
            "script.evaluate",
            expression=f"JSON.stringify({expression})",
            target={"context": context},
            awaitPromise=False,
        )
        assert answer["type"] == "success", answer
        text = answer["result"].get("value")
        return None if text is None else json.loads(text)

    def until(self, condition: str, context: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not self.evaluate(f"Boolean({condition})", context):
            if time.monotonic() > end:
                page = self.evaluate("document.body.innerText", context)
                raise AssertionError(f"never true: {condition}; {page!r}")
            time.sleep(0.2)


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("there is no Firefox")
    profile = tmp_path_factory.mktemp("firefox")
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in _SETTINGS.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [program, "--headless", "--no-remote", "--remote-debugging-port", "0"]
    with subprocess.Popen(
        [*command, "--profile", str(profile)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            with connect(f"ws://{_address(profile)}/session", max_size=None, proxy=None) as socket:
                yield Firefox(socket)
        finally:
            running.terminate()
            running.wait(30)


def _address(profile: Path) -> str:
    """Where it listens, which it writes down when it does."""
    told = profile / "WebDriverBiDiServer.json"
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if told.is_file() and (text := told.read_text()):
            value = json.loads(text)
            return f"{value['ws_host']}:{value['ws_port']}"
        time.sleep(0.1)
    raise AssertionError("Firefox did not start")


@pytest.fixture(scope="module", autouse=True)
def ice_address() -> Iterator[None]:
    with address_for_ice():
        yield


def test_the_live_page_finds_on_the_device_and_on_the_server(
    firefox: Firefox, server_url: str
) -> None:
    page = firefox.open(server_url, firefox.first)
    firefox.until("window.sightline?.stats.state === 'ready'", page)
    firefox.evaluate("document.querySelector('#use-sample').click()", page)
    for place in ("device", "websocket", "webrtc"):
        firefox.evaluate(
            f"(() => {{ const choice = document.querySelector('#place'); choice.value = '{place}';"
            " choice.dispatchEvent(new Event('change')); })()",
            page,
        )
        firefox.until(
            f"window.sightline.stats.place === '{place}'"
            " && window.sightline.stats.framesDetected > 3"
            " && window.sightline.lastResult?.detections[0]?.label === 'bottle'",
            page,
        )


def test_what_one_page_of_a_call_shows_is_found_in_the_other(
    firefox: Firefox, server_url: str
) -> None:
    first = firefox.open(f"{server_url}call/", firefox.first)
    second = firefox.open(firefox.evaluate("document.querySelector('#link').value", first))
    firefox.until("!document.querySelector('#use-sample').hidden", second)
    firefox.evaluate("document.querySelector('#use-sample').click()", second)
    firefox.until("window.sightlineCall.members[0]?.result?.detections.length > 0", first)
