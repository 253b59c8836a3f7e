"""Pulling weights from a real HTTP server on loopback, with the real atto weights as payload."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import BundleDamaged, ModelNotFound, WeightsUnavailable
from sightline.models.pull import check_weights, pull_weights
from sightline.models.safetensors_header import read_header

NAME = "deimv2-atto"


@dataclass
class Hub:
    """A file server that can be told to misbehave; `requests` keeps each Range header."""

    payload: bytes
    etag: str | None = '"v1"'
    status: int = 200
    content_type: str = "application/octet-stream"
    cut_after: list[int] = field(default_factory=list)  # body bytes of the next answers
    announced: int | None = None
    location: str | None = None
    requests: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.headers.get("Range"))
        if self.location is not None and handler.path != "/moved":
            handler.send_response(302)
            handler.send_header("Location", self.location)
            handler.end_headers()
            return
        body, status = self.payload, self.status
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "")
        if status == 200 and asked and handler.headers.get("If-Range") == self.etag:
            start = int(asked[1])
            if start >= len(body):
                handler.send_response(416)
                handler.send_header("Content-Length", "0")
                handler.end_headers()
                return
            body, status = body[start:], 206
        handler.send_response(status)
        if status == 206:
            total = len(self.payload)
            handler.send_header("Content-Range", f"bytes {total - len(body)}-{total - 1}/{total}")
        if self.etag is not None:
            handler.send_header("ETag", self.etag)
        handler.send_header("Content-Type", self.content_type)
        handler.send_header("Content-Length", str(self.announced or len(body)))
        handler.end_headers()
        with suppress(ConnectionError):  # the client hangs up where it refuses
            handler.wfile.write(body[: self.cut_after.pop(0)] if self.cut_after else body)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}/model.safetensors"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that weights are cached in, empty; no local models, no proxy in between."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    monkeypatch.delenv("SIGHTLINE_MODELS", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def payload(shared: Path) -> bytes:
    return (shared / "models" / "deimv2-atto-coco.safetensors").read_bytes()


@pytest.fixture
def hub(payload: bytes, cache: Path) -> Iterator[Hub]:
    with serving(Hub(payload)) as running:
        yield running


def part_of(cache: Path) -> Path:
    return cache / f"{NAME}.part"


def leftovers(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {f"{NAME}.lock"}


def test_pull_stores_the_file_and_its_sha256(hub: Hub, payload: bytes, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = pull_weights(NAME, lambda done, total: seen.append((done, total)), url=hub.url)
    assert path == cache / f"{NAME}.safetensors"
    assert path.read_bytes() == payload
    record = json.loads((cache / f"{NAME}.json").read_text())
    assert record == {
        "url": hub.url,
        "size": len(payload),
        "sha256": sha256(payload).hexdigest(),
    }
    assert seen[0] == (0, len(payload)) and seen[-1] == (len(payload), len(payload))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert leftovers(cache) == {f"{NAME}.safetensors", f"{NAME}.json"}


def test_second_pull_asks_nobody(hub: Hub) -> None:
    first = pull_weights(NAME, url=hub.url)
    assert pull_weights(NAME, url=hub.url) == first
    assert len(hub.requests) == 1


def test_cut_connection_is_resumed_where_it_stopped(hub: Hub, payload: bytes) -> None:
    hub.cut_after = [700_000]
    path = pull_weights(NAME, url=hub.url)
    assert path.read_bytes() == payload
    assert hub.requests == [None, "bytes=700000-"]


def test_broken_download_is_kept_and_resumed_by_the_next_call(
    hub: Hub, payload: bytes, cache: Path
) -> None:
    hub.cut_after = [300_000, 100_000, 100_000, 100_000]
    with pytest.raises(WeightsUnavailable, match="Try again"):
        pull_weights(NAME, url=hub.url)
    assert part_of(cache).read_bytes() == payload[:600_000]
    assert not (cache / f"{NAME}.safetensors").exists()
    assert pull_weights(NAME, url=hub.url).read_bytes() == payload
    assert hub.requests[-1] == "bytes=600000-"


def test_file_that_changed_in_between_is_fetched_anew(
    hub: Hub, payload: bytes, cache: Path
) -> None:
    cache.mkdir()
    part_of(cache).write_bytes(b"x" * 1000)
    part_of(cache).with_suffix(".part.etag").write_text('"v0"')
    assert pull_weights(NAME, url=hub.url).read_bytes() == payload
    assert hub.requests == ["bytes=1000-"]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_strong_etag_nothing_is_spliced(
    hub: Hub, payload: bytes, cache: Path, etag: str | None
) -> None:
    hub.etag = etag
    hub.cut_after = [300_000]
    assert pull_weights(NAME, url=hub.url).read_bytes() == payload
    assert hub.requests == [None, None]


def test_part_longer_than_the_file_is_thrown_away(hub: Hub, payload: bytes, cache: Path) -> None:
    cache.mkdir()
    part_of(cache).write_bytes(payload + b"tail")
    part_of(cache).with_suffix(".part.etag").write_text('"v1"')
    assert pull_weights(NAME, url=hub.url).read_bytes() == payload


def test_size_announced_too_large_fails(hub: Hub, payload: bytes, cache: Path) -> None:
    hub.announced = len(payload) + 10
    with pytest.raises(WeightsUnavailable):
        pull_weights(NAME, url=hub.url)
    assert not (cache / f"{NAME}.safetensors").exists()


def test_absurd_size_is_not_downloaded(hub: Hub, cache: Path) -> None:
    hub.announced = 10**12
    with pytest.raises(WeightsUnavailable, match="far more than expected"):
        pull_weights(NAME, url=hub.url)
    assert not part_of(cache).exists()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusals_name_the_status_and_what_to_do(hub: Hub, status: int, cache: Path) -> None:
    hub.status, hub.payload = status, b"no"
    with pytest.raises(WeightsUnavailable) as caught:
        pull_weights(NAME, url=hub.url)
    message = str(caught.value)
    assert str(status) in message and hub.url in message
    assert str(cache / f"{NAME}.safetensors") in message and "SIGHTLINE_MODELS" in message
    assert len(hub.requests) == 1  # asking again would not change it


def test_server_error_is_tried_again_then_reported(hub: Hub) -> None:
    hub.status = 503
    with pytest.raises(WeightsUnavailable, match="503"):
        pull_weights(NAME, url=hub.url)
    assert len(hub.requests) == 4


def test_web_page_instead_of_the_file(hub: Hub, cache: Path) -> None:
    hub.payload = b"<!DOCTYPE html><title>Sign in</title>" + b" " * 5000
    hub.content_type = "text/html"
    with pytest.raises(WeightsUnavailable, match="web page"):
        pull_weights(NAME, url=hub.url)
    assert leftovers(cache) == set()


def test_another_models_weights_are_refused(hub: Hub, shared: Path, cache: Path) -> None:
    hub.payload = (shared / "models" / "deimv2-femto-coco.safetensors").read_bytes()
    with pytest.raises(WeightsUnavailable, match="another model"):
        pull_weights(NAME, url=hub.url)
    assert leftovers(cache) == set()


def test_damaged_cache_heals_by_an_equal_download(hub: Hub, payload: bytes) -> None:
    path = pull_weights(NAME, url=hub.url)
    path.write_bytes(payload[:-1] + b"\x01")
    assert pull_weights(NAME, url=hub.url).read_bytes() == payload


def test_other_weights_than_first_pulled_are_refused(hub: Hub, payload: bytes) -> None:
    path = pull_weights(NAME, url=hub.url)
    path.unlink()
    hub.payload = payload[:-1] + bytes([payload[-1] ^ 1])
    with pytest.raises(WeightsUnavailable, match="not those first pulled"):
        pull_weights(NAME, url=hub.url)
    assert not path.exists()


def test_file_put_into_the_cache_by_hand_counts(cache: Path, payload: bytes) -> None:
    cache.mkdir()
    path = cache / f"{NAME}.safetensors"
    path.write_bytes(payload)
    assert pull_weights(NAME, url="http://127.0.0.1:9/") == path
    assert json.loads((cache / f"{NAME}.json").read_text())["url"] is None


def test_local_models_come_first(
    shared: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_MODELS", str(shared / "models"))
    path = pull_weights("deimv2-femto", url="http://127.0.0.1:9/")
    assert path == shared / "models" / "deimv2-femto-coco.safetensors"
    assert not cache.exists()


def test_damaged_local_file_is_named(
    payload: bytes, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = tmp_path / "local"
    local.mkdir()
    (local / f"{NAME}.safetensors").write_bytes(payload[:100_000])
    monkeypatch.setenv("SIGHTLINE_MODELS", str(local))
    with pytest.raises(BundleDamaged, match=r"local.*promises"):
        pull_weights(NAME)


def test_offline_says_what_to_do(cache: Path) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        pull_weights(NAME, url="http://127.0.0.1:9/model.safetensors")
    message = str(caught.value)
    assert "http://127.0.0.1:9/model.safetensors" in message
    assert str(cache / f"{NAME}.safetensors") in message and "SIGHTLINE_MODELS" in message


def test_plain_http_elsewhere_is_refused_also_by_redirect(hub: Hub) -> None:
    with pytest.raises(WeightsUnavailable, match="is not https"):
        pull_weights(NAME, url="http://models.example/model.safetensors")
    hub.location = "http://models.example/model.safetensors"
    with pytest.raises(WeightsUnavailable, match="is not https"):
        pull_weights(NAME, url=hub.url)


def test_redirect_keeps_the_range(hub: Hub, payload: bytes) -> None:
    hub.location, hub.cut_after = "/moved", [100_000]
    assert pull_weights(NAME, url=hub.url).read_bytes() == payload
    assert hub.requests[-1] == "bytes=100000-"


def test_cache_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsUnavailable, match="SIGHTLINE_CACHE"):
        pull_weights(NAME)


def test_unknown_name(cache: Path) -> None:
    with pytest.raises(ModelNotFound, match="deimv2-atto"):
        pull_weights("deimv2-ato")


def test_two_pulls_at_a_time_give_one_download(hub: Hub, payload: bytes) -> None:
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(pull_weights(NAME, url=hub.url)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 3 and paths[0].read_bytes() == payload
    assert len(hub.requests) == 1


# The file format


def written(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize("size", ["atto", "femto"])
def test_real_weights_pass(shared: Path, size: str) -> None:
    check_weights(shared / "models" / f"deimv2-{size}-coco.safetensors", size)


def test_layouts_are_those_of_the_key_lists(shared: Path) -> None:
    from sightline.models.pull import _LAYOUTS

    for size, (count, digest) in _LAYOUTS.items():
        text = (shared / "specs" / "deimv2-keys" / f"keys-{size}.txt").read_text()
        rows = [line.split("\t")[:2] for line in text.splitlines()]
        lines = sorted(f"{key} {','.join(map(str, json.loads(shape)))}" for key, shape in rows)
        assert (len(lines), sha256("\n".join(lines).encode()).hexdigest()) == (count, digest)


def test_tied_tensors_stored_once_pass(payload: bytes, tmp_path: Path) -> None:
    """The hub's mixin drops tied tensors and notes {dropped: kept} in the metadata."""
    length = int.from_bytes(payload[:8], "little")
    header = json.loads(payload[8 : 8 + length])
    data = payload[8 + length :]
    dropped = {"decoder.decoder.up": "decoder.up", "decoder.decoder.reg_scale": "decoder.reg_scale"}
    header["__metadata__"] = dropped
    kept: dict[str, object] = {"__metadata__": dropped}
    body = b""
    for name, item in header.items():
        if name == "__metadata__" or name in dropped:
            continue
        start, stop = item["data_offsets"]
        kept[name] = tensor(item["dtype"], item["shape"], len(body), len(body) + stop - start)
        body += data[start:stop]
    path = tmp_path / "tied.safetensors"
    path.write_bytes(written(kept, body))
    check_weights(path, "atto")
    kept["__metadata__"] = {}
    path.write_bytes(written(kept, body))
    with pytest.raises(BundleDamaged, match="491 tensors"):
        check_weights(path, "atto")


def test_file_as_the_hub_writes_it_passes(shared: Path, tmp_path: Path) -> None:
    """safetensors' own save_model, on the real network: 14 of 493 names are left out."""
    from safetensors.torch import save_model

    from sightline.models.weights import build_model, read_weights

    state = read_weights(shared / "models" / "deimv2-atto-coco.safetensors")
    path = tmp_path / "hub.safetensors"
    save_model(build_model("atto", 80, state), str(path))
    assert len(read_header(path).aliases) == 14
    check_weights(path, "atto")


def test_nan_is_refused(payload: bytes, tmp_path: Path) -> None:
    length = int.from_bytes(payload[:8], "little")
    entry = json.loads(payload[8 : 8 + length])["decoder.up"]
    at = 8 + length + entry["data_offsets"][0]
    path = tmp_path / "nan.safetensors"
    path.write_bytes(payload[:at] + b"\x00\x00\xc0\x7f" + payload[at + 4 :])
    with pytest.raises(BundleDamaged, match=r"NaN or infinity in 1 tensors, first decoder\.up"):
        check_weights(path, "atto")


@pytest.mark.parametrize(
    ("dtype", "raw", "is_finite"),
    [
        ("F16", b"\x00\x7c", False),  # infinity
        ("F16", b"\xff\x7b", True),  # 65504, the largest half
        ("BF16", b"\x80\x7f", False),
        ("BF16", b"\x7f\x7f", True),
        ("F32", b"\x00\x00\x80\xff", False),
        ("F64", b"\x00\x00\x00\x00\x00\x00\xf0\x7f", False),
        ("I64", b"\xff" * 8, True),
    ],
)
def test_finite_by_hand(tmp_path: Path, dtype: str, raw: bytes, is_finite: bool) -> None:
    path = tmp_path / "one.safetensors"
    path.write_bytes(written({"x": tensor(dtype, [1], 0, len(raw))}, raw))
    assert read_header(path).not_finite() == ([] if is_finite else ["x"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        b"\xff" * 64,
        (10**6).to_bytes(8, "little") + b"{}",
        written([], b""),
        written({"__metadata__": 3}, b""),
        written({"x": 3}, b""),
        written({"x": tensor("F32", [1], 0, 4)}, b"123"),
        written({"x": tensor("F32", [1], 0, 4)}, b"12345"),
        written({"x": tensor("F32", [2], 0, 4)}, b"1234"),
        written({"x": tensor("F99", [1], 0, 4)}, b"1234"),
        written({"x": tensor("F32", [-1], 0, 4)}, b"1234"),
        written({"x": tensor("F32", [1], 4, 8)}, b"12345678"),
        written({"x": tensor("U8", [4], 0, 4), "y": tensor("U8", [4], 2, 6)}, b"123456"),
        (60_000).to_bytes(8, "little") + b"[" * 60_000,
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(BundleDamaged, match="no intact safetensors file"):
        read_header(path)


@settings(deadline=None)  # writes files of 2 MB
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_never_passes(
    payload: bytes, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    path = tmp_path_factory.mktemp("cut") / "cut.safetensors"
    path.write_bytes(payload[: int(share * len(payload))])
    with pytest.raises(BundleDamaged):
        check_weights(path, "atto")
