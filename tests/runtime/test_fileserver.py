"""What may be asked of the server behind a page, and how it answers; over real connections."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sightline.runtime.fileserver import FileServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    page = tmp_path / "index.html"
    page.write_text("<p>page</p>")
    (tmp_path / "secret.txt").write_text("secret")
    running = FileServer({"prove/index.html": page, "variables/a b.bin": b"bytes"})
    yield running
    running.close()


def ask(server: FileServer, path: str, method: str = "GET") -> http.client.HTTPResponse:
    """The answer for a path: from the root, or below the server's secret address."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    connection.request(method, path if path.startswith("/") else parts.path + path)
    answer = connection.getresponse()
    connection.close()
    return answer


def test_files_and_bytes_come_by_their_names(server: FileServer) -> None:
    page = ask(server, "prove/index.html?x=1")
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Length"] == "11"
    assert ask(server, "variables/a%20b.bin").status == 200


def test_what_is_put_there_comes_until_it_is_removed(server: FileServer) -> None:
    server.put("image", b"123")
    assert ask(server, "image").status == 200
    server.remove("image")
    assert ask(server, "image").status == 404


@pytest.mark.parametrize(
    "path", ["", "prove/", "prove/secret.txt", "prove/../secret.txt", "prove/%2e%2e/secret.txt"]
)
def test_nothing_else_is_there(server: FileServer, path: str) -> None:
    assert ask(server, path).status == 404


@pytest.mark.parametrize("path", ["/prove/index.html", "/guess/prove/index.html", "//image", "/"])
def test_nothing_comes_without_the_secret(server: FileServer, path: str) -> None:
    assert ask(server, path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_sent(server: FileServer, method: str) -> None:
    assert ask(server, "prove/index.html", method).status == 501


def test_pages_are_isolated_which_threads_need(server: FileServer) -> None:
    headers = ask(server, "prove/index.html").headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"


def test_it_listens_on_the_loopback_alone_and_frees_its_port(tmp_path: Path) -> None:
    server = FileServer({})
    port = urlsplit(server.url).port
    assert urlsplit(server.url).hostname == "127.0.0.1"
    server.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port or 0))) != 0


def test_two_servers_have_two_secrets() -> None:
    one, other = FileServer({}), FileServer({})
    assert urlsplit(one.url).path != urlsplit(other.url).path
    one.close()
    other.close()
