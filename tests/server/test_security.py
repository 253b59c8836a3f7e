"""Who may ask: the decision by the settings, then every door of a running server."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from sightline.errors import ConfigError
from sightline.server.config import ServeConfig
from sightline.server.errors import RequestRefused
from sightline.server.security import Access, Guard, decide_access, is_loopback

TOKEN = "correct-horse"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = {"Accept": "text/html,*/*"}
PROTECTED = ("/", "/v1/models", "/models/deimv2-atto/model.onnx", "/assets/x.js", "/openapi.json")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST"])
def test_loopback_asks_for_no_token(host: str) -> None:
    assert is_loopback(host)
    assert decide_access(ServeConfig(host=host)).token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_beyond_loopback_a_token_is_made(host: str) -> None:
    first, second = (decide_access(ServeConfig(host=host)).token for _ in range(2))
    assert first and second and first != second
    assert len(first) >= 22  # 128 bits in base64


def test_given_token_and_open() -> None:
    assert decide_access(ServeConfig(token=TOKEN)).token == TOKEN
    assert decide_access(ServeConfig(host="0.0.0.0", open=True)).token is None
    with pytest.raises(ConfigError, match="--open"):
        decide_access(ServeConfig(token=TOKEN, open=True))


@pytest.mark.parametrize("token", ["", "short", "with space in it", "semi;colon", "ünïcödé-token"])
def test_tokens_that_fit_no_header_or_are_guessed(token: str) -> None:
    with pytest.raises(ConfigError, match="--token takes"):
        decide_access(ServeConfig(token=token))


@pytest.mark.parametrize(
    "origin", ["example.org", "https://a.b/path", "ftp://x", "https://", "https://[::1", "a,*x"]
)
def test_origins_that_are_none(origin: str) -> None:
    with pytest.raises(ConfigError, match="--cors-origin takes"):
        decide_access(ServeConfig(cors_origin=origin))


def test_any_origin_needs_open_or_a_token() -> None:
    with pytest.raises(ConfigError, match="add --open"):
        decide_access(ServeConfig(cors_origin="*"))
    assert decide_access(ServeConfig(cors_origin="*", open=True)).origins == ("*",)
    assert decide_access(ServeConfig(cors_origin="*", token=TOKEN)).origins == ("*",)


@pytest.fixture(scope="module")
def photo(shared: Any) -> dict[str, bytes]:
    return {"image": (shared / "data" / "broken" / "01_ok.jpg").read_bytes()}


def test_token_is_asked_for_everywhere_but_healthz(
    start: Any, check_problem: Any, photo: dict[str, bytes]
) -> None:
    with start(token=TOKEN) as client:
        for path in PROTECTED:
            response = client.get(path)
            check_problem(response, "token-required")
            assert response.headers["www-authenticate"].startswith("Bearer")
        check_problem(client.post("/image", files=photo), "token-required")
        assert client.get("/healthz").status_code == 200


def test_token_in_header(start: Any, check_problem: Any, photo: dict[str, bytes]) -> None:
    with start(token=TOKEN) as client:
        assert client.post("/image", files=photo, headers=BEARER).status_code == 200
        assert client.get("/v1/models", headers={"Authorization": f"bearer {TOKEN}"}).is_success
        for wrong in (f"Bearer {TOKEN}x", "Bearer", f"Basic {TOKEN}", TOKEN, "Bearer é"):
            response = client.get("/v1/models", headers={"Authorization": wrong.encode()})
            check_problem(response, "token-required")


def test_token_in_address_becomes_a_cookie(start: Any, photo: dict[str, bytes]) -> None:
    with start(token=TOKEN) as client:
        response = client.get(f"/?a=1&token={TOKEN}&b=%26", headers=HTML)
        assert response.status_code == 303
        assert response.headers["location"] == "/?a=1&b=%26"
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=lax" in cookie and "path=/" in cookie
        assert client.get("/v1/models").status_code == 200  # the client keeps cookies
        assert client.post("/image", files=photo).status_code == 200
        client.cookies.clear()
        assert client.get("/v1/models").status_code == 401


@pytest.mark.parametrize("token", [TOKEN, "a/b=c+d~e._-="])
def test_cookies_of_other_programs_do_no_harm(start: Any, check_problem: Any, token: str) -> None:
    """A browser sends those of every port of a host; the standard library's jar raises at some."""
    with start(token=token) as client:
        client.get("/", params={"token": token}, headers=HTML)
        ((name, value),) = client.cookies.items()
        client.cookies.clear()
        for foreign in ("a/b=1", "a[b]=1", '{"x":1}', "=;;=", 'a="1', "é=ü"):
            for both in (f"{foreign}; {name}={value}", f"x=1;{name}={value};{foreign}"):
                headers = {"Cookie": both.encode("latin-1")}
                assert client.get("/v1/models", headers=headers).status_code == 200, both
            headers = {"Cookie": foreign.encode("latin-1")}
            check_problem(client.get("/v1/models", headers=headers), "token-required")


@given(st.binary() | st.text('a/=;" \\\t[]').map(str.encode))
def test_no_cookie_but_ours_opens(cookie: bytes) -> None:
    headers = [(b"cookie", cookie)]
    asked = HTTPConnection({"type": "http", "headers": headers, "query_string": b""})
    assert not decide_access(ServeConfig(token=TOKEN)).has_token(asked)


def test_a_fault_at_the_door_has_the_error_shape(check_problem: Any) -> None:
    class Jammed(Access):
        def check_peer(self, connection: HTTPConnection) -> None:
            raise RuntimeError("jammed")

    async def ask() -> httpx.Response:
        guard = httpx.ASGITransport(Guard(unreachable, Jammed(None, None, (), "c")))
        async with httpx.AsyncClient(transport=guard, base_url="http://x") as client:
            return await client.get("/v1/models")

    async def unreachable(*_: Any) -> None:
        raise AssertionError("the request went past the door")

    check_problem(asyncio.run(ask()), "internal")


def test_token_in_address_without_a_page(start: Any) -> None:
    with start(token=TOKEN) as client:
        response = client.get(f"/v1/models?token={TOKEN}")
        assert response.status_code == 200 and "set-cookie" not in response.headers
        assert client.get("/v1/models?token=wrong").status_code == 401


def test_redirect_stays_here(start: Any) -> None:
    with start(token=TOKEN) as client:
        for path in ("//evil.example/", "///evil.example", "/%5Cevil.example"):
            address = f"{client.base_url}{path}?token={TOKEN}"
            location = client.get(address, headers=HTML).headers["location"]
            assert httpx.URL(str(client.base_url)).join(location).host == "127.0.0.1"


def test_browser_is_asked_for_the_token(start: Any) -> None:
    with start(token=TOKEN) as client:
        response = client.get("/", headers=HTML)
    assert response.status_code == 401
    assert response.headers["content-type"].startswith("text/html")
    assert "<form>" in response.text and 'name="token"' in response.text


def test_a_wrong_token_is_told_from_none(start: Any, check_problem: Any) -> None:
    with start(token=TOKEN) as client:
        cookie = {"Cookie": f"{client.app.state.service.access.cookie}=of-last-time"}
        said = {
            "Send the header": ({}, {"params": {"token": ""}}, {"headers": {"Cookie": "x=1"}}),
            "That token is wrong": (
                {"params": {"token": "wrong"}},
                {"headers": {"Authorization": "Bearer wrong"}},
                {"headers": cookie},
            ),
        }
        for text, requests in said.items():
            for request in requests:
                problem = check_problem(client.get("/v1/models", **request), "token-required")
                assert problem["detail"].startswith(text), request
        for query, headers, text in (
            ("", {}, ""),
            ("?token=", {}, ""),
            ("?token=<wrong>", {}, "That token is wrong."),
            ("?token=wrong", cookie, "That token is wrong."),
            ("", cookie, "The token that this browser has kept is not the right one any more."),
        ):
            page = client.get(f"/{query}", headers=HTML | headers)
            assert page.status_code == 401
            told = re.findall(r'role="alert">(.*)</p>', page.text)
            assert told == ([text] if text else []), query
            assert "wrong>" not in page.text.replace('class="wrong">', "")


def test_rebound_host_is_refused_on_loopback(
    client: httpx.Client, check_problem: Any, photo: dict[str, bytes]
) -> None:
    port = client.base_url.port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "[::1", "a@b"):
        check_problem(client.get("/v1/models", headers={"Host": host}), "origin-refused")
    for host in ("localhost", f"localhost:{port}", "LOCALHOST", f"[::1]:{port}", "127.0.0.1"):
        assert client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_any_host_counts_with_a_token(start: Any) -> None:
    with start(token=TOKEN) as client:
        headers = BEARER | {"Host": "cam.example"}
        assert client.get("/v1/models", headers=headers).status_code == 200


def test_post_from_a_foreign_page_is_refused(
    client: httpx.Client, check_problem: Any, photo: dict[str, bytes]
) -> None:
    own = str(client.base_url).rstrip("/")
    assert client.post("/image", files=photo, headers={"Origin": own}).status_code == 200
    for origin in (
        "http://evil.example",
        "null",
        "http://[::1",
        "http://localhost:1",
        own.replace("http", "ws") + "1",
    ):
        response = client.post("/image", files=photo, headers={"Origin": origin})
        check_problem(response, "origin-refused")
        assert "access-control-allow-origin" not in response.headers


def test_reading_from_a_foreign_page_is_refused(client: httpx.Client, check_problem: Any) -> None:
    """It could read nothing, but have a stream opened, or a model's megabytes sent."""
    own = str(client.base_url).rstrip("/")
    for path in ("/v1/models", "/v1/streams", "/models/deimv2-atto/model.onnx"):
        assert client.get(path, headers={"Origin": own}).status_code == 200
        for origin in ("http://evil.example", "null", "chrome-extension://abc", f"{own}.evil"):
            check_problem(client.get(path, headers={"Origin": origin}), "origin-refused")


def test_an_origin_without_a_host_is_not_our_own() -> None:
    headers = [(b"origin", b"null"), (b"host", b"")]
    access = decide_access(ServeConfig(open=True))
    with pytest.raises(RequestRefused):
        access.check_peer(HTTPConnection({"type": "http", "method": "POST", "headers": headers}))


def test_other_schemes_are_not_our_own() -> None:
    access = decide_access(ServeConfig(token=TOKEN))
    for scheme in ("file", "ftp", "chrome-extension", "ws"):
        headers = [(b"origin", f"{scheme}://cam:80".encode()), (b"host", b"cam:80")]
        with pytest.raises(RequestRefused):
            access.check_peer(HTTPConnection({"type": "http", "headers": headers}))


def test_the_host_header_opens_no_other_path(start: Any, check_problem: Any) -> None:
    with start(token=TOKEN) as client:
        for host in ("x/healthz?", "x/healthz#", "x/healthz;", "a@b/healthz?"):
            answer = client.get("/v1/models", headers={"Host": host})
            assert answer.status_code in (400, 401), host
        for path in ("/healthz/", "/healthz%2f..%2fv1/models", "//healthz", "/v1/models?/healthz"):
            assert client.get(path).status_code in (401, 404), path


def test_a_second_cookie_of_our_name_does_not_lock_out(start: Any) -> None:
    """Another program on this host, or another port of it, may have set one (RFC 6265, 8.5)."""
    with start(token=TOKEN) as client:
        name = client.app.state.service.access.cookie
        for cookies in (f"{name}=other; {name}={TOKEN}", f"{name}={TOKEN}; {name}="):
            assert client.get("/v1/models", headers={"Cookie": cookies}).status_code == 200
        cookies = f"{name}=other; {name}x={TOKEN}; x{name}={TOKEN}"
        assert client.get("/v1/models", headers={"Cookie": cookies}).status_code == 401


def test_servers_side_by_side_have_cookies_of_their_own() -> None:
    first, second = (decide_access(ServeConfig(port=port)).cookie for port in (8000, 8001))
    assert first != second


def test_a_foreign_page_cannot_use_the_cookie(
    start: Any, check_problem: Any, photo: dict[str, bytes]
) -> None:
    with start(token=TOKEN) as client:
        client.get("/", params={"token": TOKEN}, headers=HTML)
        for path in ("/image", "/v1/detect", "/v1/webrtc/offer", "/v1/whip"):
            answer = client.post(path, files=photo, headers={"Origin": "http://evil.example"})
            check_problem(answer, "origin-refused")


def test_the_token_stays_out_of_other_places(start: Any) -> None:
    with start(token=TOKEN) as client:
        for path in (f"/?token={TOKEN}", f"/none?token={TOKEN}&b=1", f"/?token={TOKEN}&token=x"):
            answer = client.get(path, headers=HTML)
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert TOKEN not in answer.headers["location"] and TOKEN not in answer.text
        for path in ("/v1/models", "/none", "/v1/detect"):
            assert TOKEN not in client.get(path, params={"token": TOKEN}).text


def test_nobody_is_believed_about_who_they_are(start: Any, check_problem: Any) -> None:
    """Headers that a proxy would add are anybody's to send."""
    forged = {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": "localhost",
        "Forwarded": "for=::1",
    }
    with start(rate=0.1) as client:
        for number in range(21):
            forged["X-Forwarded-For"] = f"10.0.0.{number}"
            answer = client.get("/v1/models", headers=forged)
        check_problem(answer, "rate-limited")
    with start() as client:
        answer = client.get("/v1/models", headers=forged | {"Host": "evil.example"})
        check_problem(answer, "origin-refused")


def test_what_a_page_may_use(client: httpx.Client) -> None:
    headers = client.get("/").headers
    assert "camera=(self)" in headers["permissions-policy"]
    assert "microphone=()" in headers["permissions-policy"]
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["connect-src"].split()[0] == "'self'"  # a WebSocket to its own server too
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"


def test_listed_origin_may_call(start: Any, check_problem: Any, photo: dict[str, bytes]) -> None:
    listed = "https://shop.example"
    with start(cors_origin=f"{listed}/, http://b.example:81") as client:
        preflight = client.options(
            "/image",
            headers={
                "Origin": listed,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == listed
        answer = client.post("/image", files=photo, headers={"Origin": listed})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == listed
        assert "access-control-allow-credentials" not in answer.headers
        refused = client.post("/image", files=photo, headers={"Origin": "https://evil.example"})
        check_problem(refused, "origin-refused")
        bad = client.post("/image", headers={"Origin": listed})
        check_problem(bad, "invalid-request")
        assert bad.headers["access-control-allow-origin"] == listed  # or the page could not read it


def test_2017_openness_on_request(start: Any, photo: dict[str, bytes]) -> None:
    with start(open=True, cors_origin="*") as client:
        for origin in ("https://any.example", "null"):
            answer = client.post(
                "/image", files=photo, headers={"Origin": origin, "Host": "cam.example"}
            )
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"


def test_preflight_needs_no_token(start: Any) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    with start(token=TOKEN, cors_origin="https://a.example") as client:
        assert client.options("/image", headers=headers).status_code == 200
        refused = client.get("/v1/models", headers={"Origin": "https://a.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://a.example"


@pytest.mark.parametrize("path", ["/", "/v1/models", "/models/deimv2-atto/model.onnx", "/none"])
def test_isolation_headers_on_every_answer(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert "blob:" in policy["worker-src"] and "blob:" in policy["media-src"]
    assert "server" not in headers


async def echo(peer: WebSocket) -> None:
    await peer.accept("sightline.v1" if "sightline.v1" in peer.scope["subprotocols"] else None)
    with suppress(WebSocketDisconnect):
        await peer.send_text(await peer.receive_text())


@contextmanager
def open_socket(
    client: httpx.Client, path: str = "/echo", **how: Any
) -> Iterator[ClientConnection]:
    """A WebSocket to a route that sends back what it gets."""
    app = client.app  # type: ignore[attr-defined]
    if not any(isinstance(route, WebSocketRoute) and route.path == "/echo" for route in app.routes):
        app.router.routes.insert(0, WebSocketRoute("/echo", echo))
    with connect(f"ws://127.0.0.1:{client.base_url.port}{path}", proxy=None, **how) as opened:
        yield opened


def refusal(client: httpx.Client, path: str = "/echo", **how: Any) -> httpx.Response:
    """The HTTP answer that ends a WebSocket's handshake."""
    with pytest.raises(InvalidStatus) as refused, open_socket(client, path, **how):
        pass
    answer = refused.value.response
    headers = list(answer.headers.raw_items())
    return httpx.Response(answer.status_code, headers=headers, content=bytes(answer.body))


def test_websocket_of_a_foreign_page_is_refused(start: Any, check_problem: Any) -> None:
    with start() as client:
        own = str(client.base_url).rstrip("/")
        for origin in (None, own):
            with open_socket(client, origin=origin) as opened:
                opened.send("hello")
                assert opened.recv(10) == "hello"
        for origin in ("http://evil.example", "null", "http://localhost:1"):
            answer = refusal(client, origin=origin)
            check_problem(answer, "origin-refused")
            assert "content-security-policy" in answer.headers


def test_websocket_to_a_rebound_host_is_refused(start: Any, check_problem: Any) -> None:
    """Its Origin is the server's own: only the Host tells."""
    with start() as client, socket.create_connection(("127.0.0.1", client.base_url.port)) as raw:
        rebound = f"evil.example:{client.base_url.port}"
        raw.sendall(
            f"GET /echo HTTP/1.1\r\nHost: {rebound}\r\nOrigin: http://{rebound}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("token", [TOKEN, "a/b=c+d~e._-="])
def test_websocket_shows_its_token(start: Any, check_problem: Any, token: str) -> None:
    with start(token=token) as client:
        cookie = f"{client.app.state.service.access.cookie}={token}"
        for how in (
            {"additional_headers": {"Authorization": f"Bearer {token}"}},
            {"additional_headers": {"Cookie": cookie}},
            {"path": f"/echo?token={quote(token, safe='')}"},
            {"subprotocols": ["sightline.v1", f"bearer.{quote(token, safe='')}"]},
        ):
            with open_socket(client, **how) as opened:
                asked = "subprotocols" in how
                assert opened.subprotocol == ("sightline.v1" if asked else None)
        for how in (
            {},
            {"path": "/echo?token=wrong"},
            {"subprotocols": ["sightline.v1", "bearer.wrong"]},
            {"subprotocols": ["sightline.v1", "bearer."]},
        ):
            answer = refusal(client, **how)
            check_problem(answer, "token-required")
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_websocket_to_nowhere(start: Any, check_problem: Any) -> None:
    with start() as client:
        check_problem(refusal(client, "/none"), "not-found")
