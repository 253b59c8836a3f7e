"""The live server beside its floor: images a second over HTTP and WebSocket, and a 2017 service.

    python benchmarks/server.py [MODEL] [--seconds 5] [--rounds 5] [--image PHOTO] [--width 640]

MODEL is a bundle; by default atto and femto with COCO weights. Needs SIGHTLINE_SHARED (../shared)
and flask. All runs have the machine's cores to themselves and take turns:

- bare: JPEG decoding, resizing and session.run in a loop, no server, with the server's own number
  of workers and threads. What no server can beat.
- HTTP, WebSocket: `sightline serve` in a process of its own; clients in another, on the same
  cores, one connection a worker and one more. Raw sockets and prebuilt requests: a client that
  costs little.
- Flask: the 2017 service's job as it was done then: POST /image, Pillow, one ONNX Runtime session
  with its defaults, Flask's own threaded server.

Ratios are of the medians over rounds, and of the best rounds (the least disturbed).
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightline.data.images import decode_image
from sightline.runtime.detector import Detector
from sightline.workflow.resolve import make_zoo_bundle

SHARED = Path(os.environ.get("SIGHTLINE_SHARED", "../shared"))
WAYS = ("bare", "HTTP", "WebSocket", "Flask")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--width", type=int, nargs="+", default=[640, 1280])
    args = parser.parse_args()
    print(
        "| model | image | workers x threads | way | images/s median | best | ratio of medians "
        "| ratio of best | load |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for model in args.models or [make_bundle(size, Path(folder)) for size in ("atto", "femto")]:
            for width in args.width:
                _compare(model, _jpeg(args.image or _photo(), width), width, args)


def _compare(model: Path, jpeg: bytes, width: int, args: argparse.Namespace) -> None:
    with _sightline(model) as (port, workers, threads), _flask(model) as flask_port:
        connections = workers + 1
        runs: dict[str, Callable[[float], float]] = {
            "bare": lambda seconds: _in_process(_run_bare, model, jpeg, workers, threads, seconds),
            "HTTP": lambda seconds: _in_process(
                _run_http, port, _raw_request(jpeg), connections, seconds
            ),
            "WebSocket": lambda seconds: _in_process(
                _run_websocket, port, jpeg, connections, seconds
            ),
            "Flask": lambda seconds: _in_process(
                _run_http, flask_port, _multipart_request(jpeg), connections, seconds
            ),
        }
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        for way in WAYS:
            runs[way](1.0)  # warm
        for number in range(args.rounds):
            for way in WAYS[number % 4 :] + WAYS[: number % 4]:
                rates[way].append(runs[way](args.seconds))
    bare = rates["bare"]
    for way in WAYS:
        found = rates[way]
        print(
            f"| {model.name} | {width} px | {workers} x {threads} | {way} "
            f"| {statistics.median(found):.1f} | {max(found):.1f} "
            f"| {statistics.median(found) / statistics.median(bare):.2f} "
            f"| {max(found) / max(bare):.2f} | {os.getloadavg()[0]:.1f} |",
            flush=True,
        )


def _in_process(work: Callable[..., tuple[int, float]], *args: Any) -> float:
    """Images a second, of a loop in a fresh process that has neither server nor model loaded."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        done, elapsed = process.submit(work, *args).result()
    return done / elapsed


def _run_bare(
    model: Path, jpeg: bytes, workers: int, threads: int, seconds: float
) -> tuple[int, float]:
    detectors = [Detector.load(model, threads=threads) for _ in range(workers)]

    def work(detector: Detector) -> int:
        session = detector.engine.session  # type: ignore[attr-defined]
        done, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            pixels = detector.preprocess(decode_image(jpeg))
            session.run(["boxes", "scores", "labels"], {"image": pixels[None]})
            done += 1
        return done

    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        done = sum(pool.map(work, detectors))
    return done, time.perf_counter() - start


def _run_http(port: int, request: bytes, connections: int, seconds: float) -> tuple[int, float]:
    def work(_: int) -> int:
        done, end, link = 0, time.perf_counter() + seconds, _connect(port)
        while time.perf_counter() < end:
            link.sendall(request)
            if not _read_response(link):  # Flask's own server closes after each answer
                link.close()
                link = _connect(port)
            done += 1
        link.close()
        return done

    return _run_clients(work, connections)


def _run_websocket(port: int, jpeg: bytes, connections: int, seconds: float) -> tuple[int, float]:
    from websockets.sync.client import connect

    def work(_: int) -> int:
        url = f"ws://127.0.0.1:{port}/v1/stream"
        with connect(url, compression=None, max_size=None) as link:
            assert json.loads(link.recv())["type"] == "ready"
            done, end = 0, time.perf_counter() + seconds
            while time.perf_counter() < end:
                link.send(jpeg)
                answer = link.recv()
                assert '"detections"' in answer, answer
                done += 1
            return done

    return _run_clients(work, connections)


def _run_clients(work: Callable[[int], int], connections: int) -> tuple[int, float]:
    start = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        done = sum(pool.map(work, range(connections)))
    return done, time.perf_counter() - start


def _connect(port: int) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _read_response(link: socket.socket) -> bool:
    """Read one answer, which must be a 200; whether the connection stays open after it."""
    data = _receive(link)
    while b"\r\n\r\n" not in data:
        data += _receive(link)
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"200", head
    length = int(re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)[1])  # type: ignore[index]
    while len(body) < length:
        body += _receive(link)
    return not re.search(rb"^http/1\.0|\r\nconnection: *close", head, re.IGNORECASE)


def _receive(link: socket.socket) -> bytes:
    part = link.recv(65536)
    assert part, "the server hung up"
    return part


def _raw_request(jpeg: bytes) -> bytes:
    return (
        b"POST /v1/detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
        b"Content-Length: %d\r\n\r\n" % len(jpeg)
    ) + jpeg


def _multipart_request(jpeg: bytes) -> bytes:
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="image"; filename="blob"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n--edge--\r\n"
    )
    return (
        b"POST /image HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: multipart/form-data; boundary=edge\r\nContent-Length: %d\r\n\r\n"
        % len(body)
    ) + body


@contextmanager
def _sightline(model: Path) -> Iterator[tuple[int, int, int]]:
    """Port, workers and threads of a server with its defaults."""
    port = free_port()
    command = [sys.executable, "-m", "sightline.cli.main", "serve", str(model)]
    with running([*command, "--port", str(port)], port) as server:
        plan = re.search(r"(\d+) images? at a time on (\d+) threads?", "".join(server.lines))
        assert plan, server.lines
        yield port, int(plan[1]), int(plan[2])


@contextmanager
def _flask(model: Path) -> Iterator[int]:
    port = free_port()
    with running([sys.executable, __file__, "--flask-2017", str(model), str(port)], port):
        yield port


@dataclass
class Running:
    """A server's process: what it has said so far."""

    pid: int
    lines: list[str]


@contextmanager
def running(command: list[str], port: int) -> Iterator[Running]:
    """A server that answers on `port`; it is ended with the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: list[str] = []

    def read() -> None:
        lines.extend(iter(process.stdout.readline, ""))  # type: ignore[union-attr]

    threading.Thread(target=read, daemon=True).start()
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    probe.settimeout(60)  # the port is taken before the model is loaded
                    probe.sendall(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                    assert probe.recv(1), lines
                    break
            assert process.poll() is None, lines
            time.sleep(0.1)
        yield Running(process.pid, lines)
    finally:
        process.terminate()
        process.wait()


def _serve_flask(model: str, port: str) -> None:
    """The 2017 service: its routes' code today, with the model run by ONNX Runtime's defaults."""
    import logging

    import onnxruntime
    from flask import Flask, Response, request

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    session = onnxruntime.InferenceSession(
        str(Path(model) / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    manifest = json.loads((Path(model) / "manifest.json").read_text())
    size = manifest["input"]["width"], manifest["input"]["height"]
    labels = manifest["labels"]
    app = Flask(__name__)

    @app.post("/image")
    def detect() -> Response:
        threshold = float(request.form.get("threshold") or 0.5)
        picture = Image.open(request.files["image"].stream).convert("RGB")
        pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
        boxes, scores, found = session.run(["boxes", "scores", "labels"], {"image": pixels[None]})
        objects = [{"name": "made in 2017", "numObjects": int((scores[0] >= threshold).sum())}]
        for box, score, label in zip(boxes[0], scores[0], found[0], strict=True):
            if score >= threshold:
                x, y, right, bottom = (float(edge) for edge in box)
                objects.append(
                    {
                        "class_name": labels[label],
                        "score": float(score),
                        "x": x,
                        "y": y,
                        "width": right,
                        "height": bottom,
                    }
                )
        return Response(json.dumps(objects), mimetype="application/json")

    app.run("127.0.0.1", int(port), threaded=True)


def make_bundle(size: str, folder: Path) -> Path:
    """The bundle of a zoo model with COCO weights."""
    name = f"deimv2-{size}"
    weights = SHARED / "models" / f"{name}-coco.safetensors"
    return make_zoo_bundle(name, weights, folder / name)


def _photo() -> Path:
    return sorted(SHARED.joinpath("data", "coco_val100").rglob("*.jpg"))[0]


def _jpeg(path: Path, width: int) -> bytes:
    """The photo at this width and 16:9 or its own shape, as a camera would send it."""
    picture = decode_image(path)
    picture = picture.resize((width, width * 9 // 16))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=85)
    return data.getvalue()


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--flask-2017"]:
        _serve_flask(*sys.argv[2:4])
    else:
        main()
