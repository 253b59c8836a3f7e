"""`sightline serve` as a process: what it prints, how it ends, what it needs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ONE_GIB_KB = 2**20


class Served:
    """A running command: its address, and what it said on stderr when it ended."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sightline.cli.main", "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        watchdog.cancel()

    def stop(self, with_signal: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Ctrl-C, or another signal; (exit code, stderr)."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        _, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, stderr

    def peak_kb(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[Served]:
    served = Served(list(arguments), environment)
    try:
        yield served
    finally:
        served.stop()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sightline.cli.main", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def test_serves_until_ctrl_c(atto_bundle: Path, shared: Path) -> None:
    photo = {"image": (shared / "data" / "broken" / "01_ok.jpg").read_bytes()}
    with serving(str(atto_bundle), "--port", "0") as served:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", served.url)
        assert httpx.post(served.url + "image", files=photo, timeout=30).status_code == 200
        exit_code, stderr = served.stop()
    assert exit_code == 0
    assert "Serving deimv2-atto" in stderr and "stopped" in stderr
    assert "Traceback" not in stderr and "POST" not in stderr  # no line per request


def test_ctrl_c_does_not_wait_for_idle_connections(atto_bundle: Path) -> None:
    with serving(str(atto_bundle), "--port", "0") as served:
        address = httpx.URL(served.url)
        with socket.create_connection((address.host, address.port or 80)) as idle:
            idle.sendall(b"POST /image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n")
            time.sleep(0.2)
            begin = time.monotonic()
            exit_code, stderr = served.stop()
    # A request in progress is given 10 s, then dropped.
    assert exit_code == 0 and time.monotonic() - begin < 20
    assert "Traceback" not in stderr


def test_beyond_loopback_a_token_is_printed_and_asked_for(atto_bundle: Path) -> None:
    with serving(str(atto_bundle), "--host", "0.0.0.0", "--port", "0") as served:
        found = re.fullmatch(r"http://localhost:(\d+)/\?token=(\S+)", served.url)
        assert found is not None, served.url
        base = f"http://127.0.0.1:{found[1]}"
        assert httpx.get(f"{base}/v1/models").status_code == 401
        bearer = {"Authorization": f"Bearer {found[2]}"}
        assert httpx.get(f"{base}/v1/models", headers=bearer).status_code == 200
        _, stderr = served.stop()
    assert found[2] in stderr and "camera" in stderr


def test_open_warns(atto_bundle: Path) -> None:
    arguments = ("--host", "0.0.0.0", "--port", "0", "--open", "--cors-origin", "*")
    with serving(str(atto_bundle), *arguments) as served:
        assert "token" not in served.url
        assert httpx.get(served.url + "v1/models").status_code == 200
        _, stderr = served.stop()
    assert stderr.count("Warning: ") == 2


def test_port_in_use_is_one_line(atto_bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(str(atto_bundle), "--port", str(port))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"port {port}" in done.stderr and "in use" in done.stderr and "--port 0" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["/none/such"], 1, "no such folder"),
        (["BUNDLE", "--host", "203.0.113.9"], 1, "no address of this machine"),
        (["BUNDLE", "--host", "no such host"], 1, "no address of this machine"),
        (["BUNDLE", "--port", "70000"], 2, "at most 65535"),
        (["BUNDLE", "--port", "-1"], 2, "at least 0"),
        (["BUNDLE", "--token", "abc"], 2, "--token takes"),
        (["BUNDLE", "--cors-origin", "*"], 2, "add --open"),
        (["BUNDLE", "--sample-clip", "none.mp4"], 2, "none.mp4"),
        (["BUNDLE", "--certificate", "c.pem"], 2, "add it"),
        (["BUNDLE", "--https", "--key", "k.pem"], 2, "give both"),
        (["BUNDLE", "--https", "--certificate", "c.pem", "--key", "k.pem"], 1, "c.pem does not"),
        ([], 2, "MODEL"),
    ],
)
def test_what_cannot_be_served(
    atto_bundle: Path, arguments: list[str], exit_code: int, message: str
) -> None:
    done = run(*[str(atto_bundle) if each == "BUNDLE" else each for each in arguments])
    assert done.returncode == exit_code, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr


def test_truncated_graph_is_one_line(atto_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes((atto_bundle / "manifest.json").read_bytes())
    (tmp_path / "model.onnx").write_bytes((atto_bundle / "model.onnx").read_bytes()[:1000])
    done = run(str(tmp_path))
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "truncated" in done.stderr


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory is read in /proc")
def test_broken_files_need_little_memory(atto_bundle: Path, shared: Path) -> None:
    with serving(str(atto_bundle), "--port", "0") as served, httpx.Client() as client:
        for path in sorted((shared / "data" / "broken").iterdir()):
            files = {"image": (path.name, path.read_bytes())}
            answer = client.post(served.url + "image", files=files, timeout=60)
            assert answer.status_code in (200, 413, 422), path.name
        peak_kb = served.peak_kb()
    assert peak_kb < ONE_GIB_KB  # a 900-megapixel file decoded would take 2.7 GB


def ask_for_ever(url: str, photo: bytes, statuses: list[int], faults: list[Exception]) -> None:
    """Requests on one connection, then, once the server closes it, no more."""
    with httpx.Client(base_url=url, timeout=30) as client:
        while True:
            try:
                answer = client.post("/v1/detect", content=photo)
            except httpx.ConnectError:
                return  # it takes no new connection: that is not a request lost
            except httpx.HTTPError as error:
                faults.append(error)
                return
            statuses.append(answer.status_code)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_no_request_is_lost_when_told_to_stop(
    atto_bundle: Path, shared: Path, end: signal.Signals
) -> None:
    photo = (shared / "data" / "broken" / "01_ok.jpg").read_bytes()
    statuses: list[int] = []
    faults: list[Exception] = []
    arguments = ("--port", "0", "--workers", "1", "--threads", "1")
    with serving(str(atto_bundle), *arguments) as served:
        asking = [
            threading.Thread(target=ask_for_ever, args=(served.url, photo, statuses, faults))
            for _ in range(8)
        ]
        for thread in asking:
            thread.start()
        while len(statuses) < 20:
            time.sleep(0.01)
        exit_code, stderr = served.stop(end)
        for thread in asking:
            thread.join(30)
    assert faults == [] and set(statuses) == {200}
    assert exit_code == 0 and stderr.endswith("stopped\n") and "Traceback" not in stderr


def test_a_second_signal_does_not_wait(atto_bundle: Path) -> None:
    arguments = ("--port", "0", "--drain-timeout", "1000", "--body-timeout", "1000")
    with serving(str(atto_bundle), *arguments) as served:
        address = httpx.URL(served.url)
        with socket.create_connection((address.host, address.port or 80)) as idle:
            idle.sendall(b"POST /image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n")
            time.sleep(0.2)
            served.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert served.process.poll() is None  # it waits for the request
            exit_code, _ = served.stop(signal.SIGTERM)
    assert exit_code == 128 + signal.SIGTERM


def test_https_for_this_machine(atto_bundle: Path, tmp_path: Path) -> None:
    arguments = ("--port", "0", "--https", "--token", "correct-horse", "--header-timeout", "1")
    with serving(str(atto_bundle), *arguments, SIGHTLINE_CACHE=str(tmp_path)) as served:
        assert served.url.startswith("https://127.0.0.1:")
        (kept,) = (tmp_path / "tls").iterdir()
        trust = ssl.create_default_context(cafile=str(kept))
        with httpx.Client(verify=trust) as client:
            page = client.get(served.url, headers={"Accept": "text/html"})
            assert page.status_code == 303 and "Secure" in page.headers["set-cookie"]
            models = httpx.URL(served.url).join("/v1/models")
            assert client.get(models).status_code == 200
            assert client.get(str(models).replace("127.0.0.1", "localhost")).status_code == 401
        address = (httpx.URL(served.url).host, httpx.URL(served.url).port or 443)
        with socket.create_connection(address, timeout=30) as silent:
            assert silent.recv(1) == b""  # a handshake that does not come is not waited for
        presented = ssl.get_server_certificate(address)
        _, stderr = served.stop()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(presented)).hexdigest().upper()
    assert digest in stderr.replace(":", "")


def test_token_from_the_environment(atto_bundle: Path) -> None:
    environment = {"SIGHTLINE_TOKEN": "correct-horse"}
    with serving(str(atto_bundle), "--port", "0", **environment) as served:
        assert served.url.endswith("/?token=correct-horse")
        assert httpx.get(httpx.URL(served.url).join("/v1/models")).status_code == 401
    with serving(str(atto_bundle), "--port", "0", "--open", **environment) as served:
        assert "token" not in served.url


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_shows_a_code_for_the_phone(atto_bundle: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "sightline.cli.main", "serve", str(atto_bundle)]
    process = subprocess.Popen(
        [*command, "--host", "0.0.0.0", "--port", "0"], stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    try:
        while b"\xe2\x96" not in seen:  # UTF-8 of the block characters
            seen += os.read(ours, 65536)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        os.close(ours)
    assert b"On a phone: http://" in seen and b"Measuring" in seen


def test_what_is_said_at_start(atto_bundle: Path) -> None:
    arguments = ("--port", "0", "--workers", "1", "--threads", "1")
    with serving(str(atto_bundle), *arguments) as served:
        _, stderr = served.stop()
    assert "CPU" in stderr and "1 image at a time on 1 thread each" in stderr
    assert f"{served.url}docs" in stderr and f"{served.url}metrics" in stderr
    assert "\x1b" not in stderr and "\u2588" not in stderr  # no terminal: no code, no colours


def test_an_exchanged_model_is_told_of(atto_bundle: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(atto_bundle, bundle)
    with serving(str(bundle), "--port", "0", "--workers", "1", "--threads", "1") as served:
        manifest = json.loads((bundle / "manifest.json").read_text())
        manifest["score_threshold"] = 0.25
        (bundle / "manifest.json").write_text(json.dumps(manifest))
        assert served.process.stderr is not None
        for line in served.process.stderr:
            if "replaced on disk" in line:
                break
        models = httpx.get(served.url + "v1/models").json()["models"]
    assert models[0]["score_threshold"] == 0.25
