"""Named files at a secret address on this machine, for a page in a browser of our own.

It knows no model: what it has is put there by name, and nothing else can be asked for.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    ),
    # These isolate the page, which gives it SharedArrayBuffer: threads for wasm.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class FileServer:
    """Answers GET for `files`, by name below `url`, until it is closed.

    The address has a random part, so that another user's programs and pages, which reach the port
    as well, cannot name a file.
    """

    def __init__(self, files: Mapping[str, Path | bytes]) -> None:
        self._secret = secrets.token_urlsafe(16)
        self._files: dict[str, Path | bytes] = dict(files)
        self._server = _Server(self._find)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{self._secret}/"
        # looks every 0.05 s whether it is to end
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def put(self, name: str, content: bytes) -> None:
        """Have `content` under this name from now on."""
        self._files[name] = content

    def remove(self, name: str) -> None:
        """Have nothing under this name any more."""
        self._files.pop(name, None)

    def close(self) -> None:
        """Free the port. A second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _find(self, path: str) -> tuple[str, Path | bytes] | None:
        secret, _, name = unquote(path.partition("?")[0]).removeprefix("/").partition("/")
        if not secrets.compare_digest(secret.encode(), self._secret.encode()):
            return None
        found = self._files.get(name)
        return None if found is None else (name, found)


class _Server(ThreadingHTTPServer):
    """`find` gives name and content of what a request's path asks for."""

    daemon_threads = True

    def __init__(self, find: Callable[[str], tuple[str, Path | bytes] | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.find = find


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        found = self.server.find(self.path)
        # A browser that is ended closes its connections halfway.
        with contextlib.suppress(ConnectionError):
            if found is None:
                self.send_error(HTTPStatus.NOT_FOUND)
            else:
                self._send(*found)

    def _send(self, name: str, content: Path | bytes) -> None:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        self.send_response(HTTPStatus.OK)
        suffix = PurePosixPath(name).suffix
        for key, value in _HEADERS.items():
            self.send_header(key, value)
        self.send_header("Content-Type", _TYPES.get(suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(size))
        self.end_headers()
        with BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
            shutil.copyfileobj(source, self.wfile)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
