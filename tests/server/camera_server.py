"""Cameras to test with, in threads: MJPEG over HTTP, and RTSP.

The RTSP camera speaks RFC 2326 over one connection (10.12, interleaved) and RFC 6184's H.264.
"""

from __future__ import annotations

import base64
import re
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle, islice

Talk = Callable[["Connection"], None]


class Connection(socketserver.StreamRequestHandler):
    """One connection to a camera; `send` raises when the camera is switched off."""

    server: CameraServer

    def handle(self) -> None:
        self.server.connections += 1
        with suppress(OSError):  # the other end, or the camera, has gone
            self.server.talk(self)

    def read_head(self) -> list[str]:
        """A request's lines up to the empty one."""
        lines = []
        while line := self.rfile.readline().decode().strip():
            lines.append(line)
        return lines

    def wait(self) -> None:
        """Until the camera is switched off."""
        while self.server.is_on:
            time.sleep(0.05)

    def send(self, data: bytes) -> None:
        if not self.server.is_on:
            raise ConnectionAbortedError
        self.wfile.write(data)


class CameraServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, talk: Talk, port: int) -> None:
        super().__init__(("127.0.0.1", port), Connection)
        self.talk = talk
        self.is_on = True
        self.connections = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextmanager
def camera(talk: Talk, port: int = 0) -> Iterator[CameraServer]:
    """A camera that is switched on during the block."""
    with CameraServer(talk, port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.is_on = False
            server.shutdown()
            thread.join()


def mjpeg(
    pictures: list[bytes],
    rate: float = 25.0,
    *,
    password: str | None = None,
    until: int | None = None,
) -> Talk:
    """An HTTP camera that shows these pictures over and over; after `until` it says no more."""

    def talk(connection: Connection) -> None:
        head = connection.read_head()
        if password is not None:
            wanted = base64.b64encode(password.encode()).decode()
            if f"Authorization: Basic {wanted}" not in head:
                challenge = b'WWW-Authenticate: Basic realm="camera"\r\nContent-Length: 0\r\n'
                connection.send(b"HTTP/1.1 401 Unauthorized\r\n" + challenge + b"\r\n")
                return
        kind = b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        connection.send(b"HTTP/1.1 200 OK\r\n" + kind)
        for picture in islice(cycle(pictures), until):
            length = f"Content-Length: {len(picture)}\r\n\r\n".encode()
            part = b"--frame\r\nContent-Type: image/jpeg\r\n" + length + picture + b"\r\n"
            connection.send(part)
            time.sleep(1 / rate)
        connection.wait()

    return talk


def silence(connection: Connection) -> None:
    """A camera that takes a request and says nothing."""
    connection.read_head()
    connection.wait()


def rtsp(pictures: list[bytes], rate: float = 25.0, lossy: bool = False) -> Talk:
    """An RTSP camera that shows these H.264 pictures (Annex B) over and over.

    lossy: of every fifth picture the first packet is missing.
    """
    description = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        "a=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
    )

    def talk(connection: Connection) -> None:
        while head := connection.read_head():
            method = head[0].split(" ")[0]
            number = next(line for line in head if line.lower().startswith("cseq"))
            body = description if method == "DESCRIBE" else ""
            extra = {
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
            }.get(method, "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n")
            answer = f"RTSP/1.0 200 OK\r\n{number}\r\nSession: 7\r\n{extra}\r\n{body}"
            connection.send(answer.encode())
            if method == "PLAY":
                break
        sequence = 0
        for count, picture in enumerate(cycle(pictures)):
            payloads = list(_payloads(picture))
            lost = 1 if lossy and count % 5 == 4 else 0
            for index, payload in enumerate(payloads):
                marker = 0x80 if index == len(payloads) - 1 else 0
                ticks = int(count * 90_000 / rate)
                packet = struct.pack("!BBHII", 0x80, marker | 96, sequence, ticks, 1) + payload
                sequence = (sequence + 1) % 2**16
                if index >= lost:
                    connection.send(struct.pack("!cBH", b"$", 0, len(packet)) + packet)
            time.sleep(1 / rate)

    return talk


def _payloads(picture: bytes) -> Iterator[bytes]:
    """RFC 6184, 5.6 and 5.8: small units as they are, large ones in fragments (FU-A)."""
    for unit in re.split(rb"\x00\x00\x00?\x01", picture)[1:]:
        if len(unit) <= 1000:
            yield unit
            continue
        parts = [unit[i : i + 1000] for i in range(1, len(unit), 1000)]
        for index, part in enumerate(parts):
            edges = (0x80 if index == 0 else 0) | (0x40 if index == len(parts) - 1 else 0)
            yield bytes([unit[0] & 0xE0 | 28, edges | unit[0] & 0x1F]) + part
