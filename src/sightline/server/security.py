"""Who may ask: loopback alone unless told, a token beyond it, no foreign web pages.

- On a loopback address no token is asked for, but the Host must be a loopback name: otherwise a
  web page whose name was re-pointed to 127.0.0.1 (DNS rebinding) would count as our own.
- On any other address a token is asked for, unless `open` says not to.
- Web pages of other origins are refused unless listed. The check is here, on the request, since
  browsers send simple cross-origin posts, and open WebSockets, without asking first.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote, unquote, urlencode, urlsplit

from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.errors import ConfigError
from sightline.server.config import ServeConfig
from sightline.server.errors import RequestRefused, internal_problem, problem_response

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_TOKEN_FORM = re.compile(r"[A-Za-z0-9._~+/=-]{8,}")  # RFC 6750, 2.1, of a length worth guessing at
_ORIGIN_FORM = re.compile(r"https?://[^/?#@\s]+", re.IGNORECASE)
_BEARER_SUBPROTOCOL = "bearer."
# What watches over a server asks whether it lives and takes work; the answers tell nothing else.
_WITHOUT_TOKEN = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
# Code, the same everywhere. Pages of other origins import it, and an import can show no token.
_RUNTIME = ("/sightline.js", "/sightline-video.js", "/assets/", "/static/")
_STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})

_CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",  # a style cannot run code; the overlay sets some
        "img-src 'self' blob: data:",
        "media-src 'self' blob: data:",
        "connect-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

# In one piece, as nothing else is sent without a token. Colours and font are the live page's.
_ASKING_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Sightline</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root{color-scheme:light dark;--page:#f4f6f8;--card:#fff;--line:#dde3e9;--text:#101820;
--muted:#586674;--accent:#0f766e;--on-accent:#fff;--danger:#b42318;
font:16px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
@media(prefers-color-scheme:dark){:root{--page:#0c1116;--card:#151c23;--line:#26313b;--text:#eaf0f5;
--muted:#93a2b0;--accent:#2dd4bf;--on-accent:#04211d;--danger:#ff8a7a}}
*{box-sizing:border-box}
body{display:grid;grid-template-columns:minmax(0,1fr);min-height:100svh;margin:0;padding:16px;place-items:center;
background:var(--page);color:var(--text)}
main{width:100%%;max-width:26rem;padding:24px;border:1px solid var(--line);border-radius:16px;
background:var(--card)}
svg{display:block;width:40px;height:40px;fill:none;stroke:var(--accent);stroke-width:3;
stroke-linecap:round;stroke-linejoin:round}
circle{fill:var(--accent);stroke:none}
h1{margin:14px 0 4px;font-size:21px;font-weight:650;letter-spacing:-.01em}
p{margin:0;color:var(--muted);font-size:15px}
.wrong{margin-top:12px;color:var(--danger);font-weight:600}
form{display:flex;gap:8px;margin-top:16px}
input,button{min-height:44px;border:1px solid var(--line);border-radius:12px;font:inherit}
input{flex:1;min-width:0;padding:0 13px;background:var(--page);color:var(--text)}
button{padding:0 18px;border-color:transparent;background:var(--accent);color:var(--on-accent);
font-weight:600;cursor:pointer}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
</style>
<main>
<svg viewBox="0 0 32 32" aria-hidden="true"><path d="M4 11V7a3 3 0 0 1 3-3h4M21 4h4a3 3 0 0 1 3
3v4M28 21v4a3 3 0 0 1-3 3h-4M11 28H7a3 3 0 0 1-3-3v-4"/><circle cx="16" cy="16" r="5"/></svg>
<h1>This server asks for its token</h1>
<p>It was printed where the server was started.</p>
%s<form>
<input name="token" type="password" autocomplete="off" aria-label="Token" required autofocus>
<button>Open</button></form>
</main>
</html>
"""


@dataclass(frozen=True)
class Access:
    """The decision. `hosts`: names that the Host header may carry; None: any.

    `origins` are foreign web origins that may call; "*" among them: all.
    """

    token: str | None
    hosts: frozenset[str] | None
    origins: tuple[str, ...]
    cookie: str

    @property
    def is_open(self) -> bool:
        """Whether anybody who reaches the server may use it."""
        return self.token is None and self.hosts is None

    def check_peer(self, connection: HTTPConnection) -> None:
        """Raises RequestRefused for a foreign Host or a foreign Origin.

        WebSockets go through this as well: CORS does not cover them. Nor does it keep a page from
        having work done whose answer it cannot read.
        """
        host = connection.headers.get("host", "")
        if self.hosts is not None and _host_name(host) not in self.hosts:
            raise RequestRefused(
                "origin-refused",
                f"This server answers to {', '.join(sorted(self.hosts))} only. Behind a proxy "
                "start it with a token, or with --open.",
            )
        origin = connection.headers.get("origin")
        if origin is None:  # no page, or one of our own that reads
            return
        is_own = host != "" and _origin_host(origin) == host.lower()
        if not is_own and "*" not in self.origins and origin.lower() not in self.origins:
            raise RequestRefused(
                "origin-refused",
                "Web pages of other origins may not call this server; --cors-origin lists "
                "those that may.",
            )

    def has_token(self, connection: HTTPConnection) -> bool:
        """Whether no token is needed, or the right one is shown in header, cookie, address or
        WebSocket subprotocol."""
        if self.token is None:
            return True
        right = self.token.encode()
        return any(secrets.compare_digest(right, each.encode()) for each in self._shown(connection))

    def shows_token(self, connection: HTTPConnection) -> bool:
        """Whether any token is shown, be it the right one or not."""
        return any(self._shown(connection))

    def _shown(self, connection: HTTPConnection) -> list[str]:
        scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
        return [
            bearer.strip() if scheme.lower() == "bearer" else "",
            *_cookies(connection, self.cookie),
            connection.query_params.get("token", ""),
            _subprotocol_token(connection),
        ]


def decide_access(config: ServeConfig) -> Access:
    """Who may ask, by the settings. Raises ConfigError where they contradict each other."""
    origins = _origins(config.cors_origin)
    if config.open and config.token is not None:
        raise ConfigError("--open asks for no token and --token for one: give one of them")
    if config.token is not None and not _TOKEN_FORM.fullmatch(config.token):
        raise ConfigError("--token takes 8 or more letters, digits or . _ ~ + / = -")
    token = config.token
    if token is None and not config.open and not is_loopback(config.host):
        token = secrets.token_urlsafe(18)
    is_guarded = token is not None or config.open
    if "*" in origins and not is_guarded:
        raise ConfigError(
            "--cors-origin '*' lets every web page that a browser here visits use this server: "
            "add --open if that is meant, or --token"
        )
    named = {_host_name(_origin_host(origin)) for origin in origins if origin != "*"}
    hosts = None if is_guarded else _LOCAL_NAMES | {config.host.lower()} | named
    return Access(token, hosts, origins, f"sightline-{config.port}")


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Guard:
    """Middleware: checks each request, adds the headers that keep a browser's page apart."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access
        self._headers = _security_headers(is_shared=False)
        self._shared_headers = _security_headers(is_shared=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        is_started = False
        headers = self._shared_headers if self._is_shared(scope["path"]) else self._headers

        async def send_with_headers(message: Message) -> None:
            nonlocal is_started
            if message["type"] in _STARTS:
                is_started = True
            if message["type"].endswith("http.response.start"):
                given = {name.lower() for name, _ in message["headers"]}
                ours = [pair for pair in headers if pair[0] not in given]
                message = {**message, "headers": [*message["headers"], *ours]}
            await send(message)

        try:
            # Given to a WebSocket, an HTTP answer refuses its handshake.
            answer = self._answer_at_the_door(HTTPConnection(scope))
            await (answer or self.app)(scope, receive, send_with_headers)
        except Exception as error:
            if is_started:
                raise  # half an answer is out: the server closes the connection and logs
            failed = internal_problem(error, scope["path"])
            await failed(scope, receive, send_with_headers)

    def _is_shared(self, path: str) -> bool:
        """Whether pages of other origins may have it by a mere address, and without a token."""
        is_runtime = path.startswith(_RUNTIME) and ".." not in path
        return bool(self.access.origins) and is_runtime

    def _answer_at_the_door(self, request: HTTPConnection) -> Response | None:
        """The refusal, or the redirect that turns a token in the address into a cookie."""
        try:
            self.access.check_peer(request)
        except RequestRefused as error:
            return problem_response(error.code, error.detail, path=request.url.path)
        path: str = request.scope["path"]
        if path in _WITHOUT_TOKEN or self._is_shared(path):
            return None
        is_get = request.scope.get("method") == "GET"
        wants_page = is_get and "text/html" in request.headers.get("accept", "")
        if not self.access.has_token(request):
            return self._ask_for_token(request, wants_page=wants_page)
        if wants_page and self.access.token is not None and "token" in request.query_params:
            return self._remember(request, self.access.token)
        return None

    def _ask_for_token(self, request: HTTPConnection, *, wants_page: bool) -> Response:
        is_wrong = self.access.shows_token(request)
        challenge = {"WWW-Authenticate": 'Bearer realm="sightline"'}
        if not wants_page:
            wrong = "That token is wrong; the right one was printed where the server was started."
            how = "Send the header Authorization: Bearer TOKEN, or open the address with ?token=."
            detail = wrong if is_wrong else how
            return problem_response("token-required", detail, challenge, path=request.url.path)
        told = ""
        if request.query_params.get("token"):
            told = "That token is wrong."
        elif is_wrong:  # a cookie: from before the server was started with another token
            told = "The token that this browser has kept is not the right one any more."
        note = f'<p class="wrong" role="alert">{told}</p>\n' if told else ""
        return HTMLResponse(_ASKING_PAGE % note, 401, challenge)

    def _remember(self, request: HTTPConnection, token: str) -> Response:
        kept = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
        path = "/" + quote(
            request.scope["path"].lstrip("/\\")
        )  # "//host" would lead away from here
        target = f"{path}?{urlencode(kept)}" if kept else path
        response = RedirectResponse(target, 303)
        # Lax, not Strict: a Strict cookie is not sent after following a link or a QR code.
        is_secure = request.scope["scheme"] == "https"
        response.set_cookie(
            self.access.cookie, token, httponly=True, samesite="lax", secure=is_secure
        )
        return response


def _security_headers(*, is_shared: bool) -> list[tuple[bytes, bytes]]:
    headers = {
        "Content-Security-Policy": _CONTENT_POLICY,
        # The first two isolate the page, which gives it SharedArrayBuffer: threads for wasm.
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "cross-origin" if is_shared else "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _origins(text: str | None) -> tuple[str, ...]:
    origins = [part.strip().rstrip("/").lower() for part in (text or "").split(",")]
    origins = [origin for origin in origins if origin]
    for origin in origins:
        is_one = _ORIGIN_FORM.fullmatch(origin) and _host_name(_origin_host(origin))
        if origin != "*" and not is_one:
            raise ConfigError(
                f"--cors-origin takes origins such as https://example.org, or *, not {origin!r}"
            )
    return tuple(origins)


def _origin_host(origin: str) -> str:
    """Host and port of a web page's origin; "" for null and for what is no web page."""
    scheme, _, host = origin.lower().partition("://")
    return host if scheme in ("http", "https") else ""


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _subprotocol_token(connection: HTTPConnection) -> str:
    """The token that a WebSocket offers as a subprotocol, "" where it offers none.

    A browser's page can set no other header of a WebSocket; a subprotocol's characters are few
    (RFC 6455, 4.1), so the token is percent-encoded.
    """
    for offered in connection.scope.get("subprotocols", ()):
        if offered.startswith(_BEARER_SUBPROTOCOL):
            return unquote(offered.removeprefix(_BEARER_SUBPROTOCOL))
    return ""


def _cookies(connection: HTTPConnection, name: str) -> list[str]:
    """The values of the cookies of that name: another program on this host may have set one too.

    Not http.cookies': that raises at names such as a/b, and a browser sends the cookies of every
    port of a host, other programs' with ours.
    """
    values = []
    for part in connection.headers.get("cookie", "").split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            values.append(value.strip().strip('"'))  # quoted where the token has / or =
    return values
