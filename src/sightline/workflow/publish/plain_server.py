"""A file server that is as plain as one can be met: below a path, no header but the least."""

from __future__ import annotations

import contextlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SUB_PATH = "/some/where/"


class PlainServer:
    """Serves a folder on this machine until it is closed, as `python -m http.server` does.

    requested: the paths asked for, relative to the folder, in order; HEAD requests too.
    """

    def __init__(self, folder: Path) -> None:
        self.requested: list[str] = []
        self._server = _Server(folder, self.requested)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = self.origin + SUB_PATH
        # looks every 0.05 s whether it is to end
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def show(self, folder: Path) -> None:
        """Serve another folder at the same address from now on."""
        self._server.folder = folder

    def close(self) -> None:
        """Free the port. A second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path, requested: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requested = requested

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that is ended closes its connections halfway: that is no error."""


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def translate_path(self, path: str) -> str:
        self.directory = str(self.server.folder)
        is_below = path.startswith(SUB_PATH)
        return super().translate_path(path[len(SUB_PATH) - 1 :] if is_below else "/not/there")

    def send_head(self) -> Any:
        path = self.path.partition("?")[0]
        self.server.requested.append(path.removeprefix(SUB_PATH) or "index.html")
        with contextlib.suppress(ConnectionError):
            return super().send_head()
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
