"""Cameras and files that the server plays: going away, hanging, lying, and coming back."""

from __future__ import annotations

import io
import json
import queue
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image
from tests.server.camera_server import Connection, camera, mjpeg, rtsp, silence
from tests.server.conftest import CheckProblem, Start
from websockets.sync.client import ClientConnection, connect

from sightline.errors import ConfigError, MissingExtra
from sightline.runtime import addresses, capture
from sightline.runtime.addresses import read_sources
from sightline.server import listen
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.served import ModelStore

av = pytest.importorskip("av")

Message = dict[str, Any]


@contextmanager
def watching(client: httpx.Client, name: str = "cam") -> Iterator[ClientConnection]:
    """A listener, after the first message."""
    url = str(client.base_url).replace("http", "ws", 1).rstrip("/")
    with connect(f"{url}/v1/streams/{name}", compression=None, proxy=None) as socket:
        assert receive(socket)["type"] == "ready"
        yield socket


def receive(socket: ClientConnection) -> Message:
    value: Message = json.loads(socket.recv(timeout=30))
    return value


def state(client: httpx.Client, name: str = "cam") -> Message:
    streams = client.get("/v1/streams").json()["streams"]
    return next(each for each in streams if each["name"] == name)


def wait_for(client: httpx.Client, expected: str) -> Message:
    """The source's entry in the list, once its state is that or for half a minute."""
    end = time.monotonic() + 30
    while (now := state(client))["state"] != expected and time.monotonic() < end:
        time.sleep(0.05)
    assert now["state"] == expected, now
    return now


@pytest.fixture(scope="session")
def photo(shared: Path) -> bytes:
    return (shared / "data" / "broken" / "01_ok.jpg").read_bytes()


@pytest.fixture(scope="session")
def clip(photo: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video, the photo moving: ten frames of 320 x 200, a whole one every five."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    encode(path, photo, frames=10, group=5)
    return path


def encode(path: Path, photo: bytes, *, frames: int, group: int) -> None:
    picture = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))[:200]
    with av.open(str(path), "w") as container:
        options = {"g": str(group), "bf": "0", "sc_threshold": "0"}
        video = container.add_stream("libx264", rate=10, options=options)
        video.width, video.height, video.pix_fmt = 320, 200, "yuv420p"
        for number in range(frames):
            moved = np.ascontiguousarray(np.roll(picture, 4 * (number % 10), axis=1))
            container.mux(video.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(video.encode())


def read_pictures(path: Path) -> list[bytes]:
    """A clip's frames, each as a camera would send it."""
    from av.bitstream import BitStreamFilterContext

    with av.open(str(path)) as container:
        to_annex_b = BitStreamFilterContext("h264_mp4toannexb", container.streams.video[0])
        packets = [to_annex_b.filter(packet) for packet in container.demux(video=0)]
        return [bytes(each) for several in packets for each in several if each.size]


@pytest.mark.parametrize(
    "text",
    [
        "/dev/video0",
        "=/dev/video0",
        "door=",
        "front door=/dev/video0",
        "../up=/dev/video0",
        "a/b=clip.mp4",
        "cam=ftp://bob:hidden@camera/",
        "cam=rtsp://",
        "cam=http://[::1/x?hidden",
        "cam=udp://127.0.0.1:5000",
        "foo",
        "rtsp://bob:hidden@camera/1",
        "rtsp://bob:hidden@camera/1?stream=2",
        "x" * 65 + "=clip.mp4",
    ],
)
def test_malformed_sources_are_refused_without_showing_the_address(text: str) -> None:
    with pytest.raises(ConfigError, match="--source") as caught:
        read_sources([text])
    assert "hidden" not in str(caught.value)
    if not text.startswith("cam="):
        assert "NAME=URL is expected, such as door=rtsp://" in str(caught.value)


def test_sources_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a=rtsp://bob:hidden@h/1?x=y", "b=clip=1.mp4", "c=/dev/video1", "d=0", "e=v4l2:/dev/v"]
    monkeypatch.setattr(addresses.sys, "platform", "linux")
    specs = read_sources(texts)
    assert [spec.format for spec in specs] == ["rtsp", None, "v4l2", "v4l2", "v4l2"]
    assert [spec.is_file for spec in specs] == [False, True, False, False, False]
    assert [spec.address for spec in specs[2:]] == ["/dev/video1", "/dev/video0", "/dev/v"]
    assert "hidden" not in repr(specs)
    with pytest.raises(ConfigError, match="twice"):
        read_sources(["cam=a.mp4", "cam=b.mp4"])
    monkeypatch.setattr(addresses.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"sightline\[webrtc\]"):
        read_sources(texts)
    assert read_sources([]) == ()


def test_a_server_does_not_start_with_sources_it_cannot_keep(atto: ModelStore) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        create_app(atto, ServeConfig(source=("two words=clip.mp4",)))
    with pytest.raises(ConfigError, match="no room for listeners"):
        create_app(atto, ServeConfig(source=("a=a.mp4", "b=b.mp4"), max_sessions=2))


def test_a_file_is_played_at_its_own_pace_over_and_over(start: Start, clip: Path) -> None:
    with start(source=(f"cam={clip}",)) as client:
        with watching(client) as socket:
            seen = [receive(socket)]
            while seen[-1]["frame"] < 25:
                seen.append(receive(socket))
        times = [message["time_s"] for message in seen]
        assert times == sorted(times)
        assert [message["pts"] for message in seen] == [
            message["frame"] % 10 * 9000 for message in seen
        ]
        # Ten frames a second, or later; a second is what a file that fell behind may leave out.
        assert times[-1] - times[0] > (seen[-1]["frame"] - seen[0]["frame"]) / 10 - 1
        assert state(client) | {"listeners": 0} == {
            "name": "cam",
            "kind": "source",
            "listeners": 0,
            "model": "deimv2-atto",
            "width": 320,
            "height": 200,
            "fps": 10.0,
            "state": "live",
            "error": None,
        }


def test_a_file_that_is_not_there_is_told_and_played_once_it_is(
    start: Start, clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "later.mp4"
    with start(source=(f"cam={path}",)) as client:
        assert wait_for(client, "waiting")["error"] == "there is no such file"
        path.write_bytes(b"no video")
        with watching(client) as socket:
            assert receive(socket)["error"]["code"] == "source-unavailable"
            path.write_bytes(clip.read_bytes())
            while (message := receive(socket))["type"] == "error":  # of what was there before
                assert "the file is no video" in message["error"]["detail"]
            assert message["type"] == "detections"


def test_a_camera_is_looked_at_only_while_somebody_listens(start: Start, photo: bytes) -> None:
    with (
        camera(mjpeg([photo], rate=100)) as server,
        start(source=(f"cam=http://127.0.0.1:{server.port}/",)) as client,
    ):
        wait_for(client, "live")
        time.sleep(0.5)
        metrics = client.app.state.service.metrics  # type: ignore[attr-defined]
        worked_on = metrics.images.labels("source", "detected")._value
        assert worked_on.get() == 0
        with watching(client) as socket:
            first = receive(socket)
        assert first["frame"] > 5  # those before are counted
        assert "bear" in {found["label"] for found in first["detections"]}
        assert worked_on.get() >= 1


def test_a_camera_that_goes_away_is_found_again(start: Start, photo: bytes) -> None:
    with camera(mjpeg([photo])) as server:
        port = server.port
        with start(source=(f"cam=http://127.0.0.1:{port}/",)) as client, watching(client) as socket:
            before = receive(socket)
            server.is_on = False
            server.shutdown()
            server.server_close()
            assert wait_for(client, "waiting")["error"]
            with camera(mjpeg([photo]), port):
                wait_for(client, "live")
                after = [receive(socket) for _ in range(3)][-1]
    assert after["frame"] > before["frame"]
    assert after["time_s"] > before["time_s"]


def test_a_password_is_given_to_the_camera_and_to_nobody_else(
    start: Start, photo: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with camera(mjpeg([photo], password="bob:pass-word-1")) as server:
        host = f"127.0.0.1:{server.port}/secret-path"
        sources = (f"cam=http://bob:pass-word-1@{host}", f"not=http://bob:pass-word-2@{host}")
        with start(source=sources) as client:
            with watching(client) as socket:
                assert receive(socket)["type"] == "detections"
            while (refused := state(client, "not"))["state"] != "waiting":
                time.sleep(0.05)
            assert "401" in refused["error"]
            told = client.get("/v1/streams").text
    written = capfd.readouterr()
    for text in (told, caplog.text, written.out, written.err):
        assert "pass-word" not in text
        assert "secret-path" not in text
    assert "source not: " in caplog.text


@pytest.mark.parametrize(("scheme", "answers"), [("http", 0), ("http", 100), ("rtsp", 0)])
def test_a_camera_that_hangs_is_left_and_tried_again(
    start: Start, photo: bytes, monkeypatch: pytest.MonkeyPatch, scheme: str, answers: int
) -> None:
    monkeypatch.setattr(capture, "SILENCE_S", 0.5)
    talk = mjpeg([photo], rate=100, until=answers) if answers else silence
    with (
        camera(talk) as server,
        start(source=(f"cam={scheme}://127.0.0.1:{server.port}/",)) as client,
    ):
        assert wait_for(client, "waiting")["error"] == "nothing came for 0.5 s"
        connections = server.connections
        while server.connections == connections:
            time.sleep(0.05)


@pytest.mark.parametrize("is_local", [False, True])
@pytest.mark.parametrize("kind", ["hls", "concat"])
def test_playlists_are_not_read(
    start: Start, clip: Path, tmp_path: Path, kind: str, is_local: bool
) -> None:
    """Neither a camera's nor a file's: they would name other files to read."""
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{clip}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {clip}\n",
    }[kind].encode()

    def talk(connection: Connection) -> None:
        connection.read_head()
        kind = b"Content-Type: application/vnd.apple.mpegurl\r\n"
        length = f"Content-Length: {len(text)}\r\n\r\n".encode()
        connection.send(b"HTTP/1.1 200 OK\r\n" + kind + length + text)

    path = tmp_path / "list.m3u8"
    path.write_bytes(text)
    with camera(talk) as server:
        source = path if is_local else f"http://127.0.0.1:{server.port}/list.m3u8"
        with start(source=(f"cam={source}",)) as client:
            assert wait_for(client, "waiting")["width"] is None


def test_damaged_pictures_are_told_and_do_not_end_the_stream(start: Start, photo: bytes) -> None:
    cut = photo[: len(photo) // 3]
    with camera(mjpeg([photo, cut], rate=10)) as server:
        source = f"cam=http://127.0.0.1:{server.port}/"
        with start(source=(source,)) as client, watching(client) as socket:
            messages = [receive(socket) for _ in range(12)]
    codes = {each["error"]["code"] for each in messages if each["type"] == "error"}
    assert codes == {"image-unreadable"}
    assert "detections" in {each["type"] for each in messages}


def test_pictures_that_would_fill_the_memory_are_not_decoded(start: Start, photo: bytes) -> None:
    size = photo.index(b"\xff\xc0") + 5  # of a JPEG's frame header: height and width
    bomb = photo[:size] + struct.pack("!HH", 30_000, 30_000) + photo[size + 4 :]
    with camera(mjpeg([bomb])) as server:
        source = f"cam=http://127.0.0.1:{server.port}/"
        with start(source=(source,)) as client, watching(client) as socket:
            assert receive(socket)["error"]["code"] == "image-too-large"


@pytest.mark.parametrize("lossy", [False, True])
def test_an_rtsp_camera_is_played(start: Start, clip: Path, lossy: bool) -> None:
    with camera(rtsp(read_pictures(clip), lossy=lossy)) as server:
        source = f"cam=rtsp://127.0.0.1:{server.port}/live"
        with start(source=(source,)) as client, watching(client) as socket:
            messages = [receive(socket) for _ in range(12)]
            assert (state(client)["width"], state(client)["height"]) == (320, 200)
    assert {message["type"] for message in messages} == {"detections"}
    frames = [message["frame"] for message in messages]
    assert frames == sorted(set(frames))
    pts = [message["pts"] for message in messages if "pts" in message]
    assert len(pts) > 6  # a camera's first frames may have none
    assert pts == sorted(set(pts))
    if not lossy:  # 25 a second by the camera's own clock
        steps = {(b - a) / 3600 for a, b in pairwise(pts)}
        assert all(step == int(step) for step in steps)
    for message in messages:  # the animal is in each, whole
        assert {found["label"] for found in message["detections"]} <= {"cat", "bear"}
        assert message["detections"]


def test_who_comes_between_whole_frames_does_not_wait_for_the_next(
    start: Start, photo: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "long.mp4"
    encode(path, photo, frames=300, group=300)
    with (
        camera(rtsp(read_pictures(path))) as server,
        start(source=(f"cam=rtsp://127.0.0.1:{server.port}/live",)) as client,
    ):
        wait_for(client, "live")
        time.sleep(0.5)
        with watching(client) as socket:
            first = receive(socket)
    assert 0 < first["frame"] < 300
    assert first["detections"]


def test_a_still_picture_shows_what_the_camera_sees(start: Start, clip: Path) -> None:
    with start(source=(f"cam={clip}",)) as client:
        plain, marked = (
            client.get(f"/v1/streams/cam/frame.jpg?boxes={boxes}&max=1") for boxes in (0, 1)
        )
        assert state(client)["listeners"] == 0
    assert plain.headers["content-type"] == marked.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(plain.content)) as image:
        assert image.size == (320, 200)
        colors = np.asarray(image.convert("RGB"), np.int16)
    with Image.open(io.BytesIO(marked.content)) as image:
        drawn = np.asarray(image.convert("RGB"), np.int16)
    # The photo is of one animal in snow; the box around it is of a strong colour.
    assert np.ptp(drawn, axis=2).max() > np.ptp(colors, axis=2).max() + 30


def test_no_still_picture_of_a_camera_that_is_away(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_problem: CheckProblem
) -> None:
    monkeypatch.setattr(listen, "PICTURE_S", 3600.0)  # nothing is waited for
    with start(source=(f"cam={tmp_path / 'none.mp4'}",)) as client:
        told = check_problem(client.get("/v1/streams/cam/frame.jpg"), "source-unavailable")
        assert "there is no such file" in told["detail"]
        assert state(client)["listeners"] == 0
        client.app.state.service.board.open("door", "whip")  # type: ignore[attr-defined]
        told = check_problem(client.get("/v1/streams/door/frame.jpg"), "not-found")
        assert "WHIP" in told["detail"]


def test_no_still_picture_of_a_camera_that_says_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, check_problem: CheckProblem
) -> None:
    monkeypatch.setattr(listen, "PICTURE_S", 0.2)
    with (
        camera(silence) as server,
        start(source=(f"cam=http://127.0.0.1:{server.port}/",)) as client,
    ):
        check_problem(client.get("/v1/streams/cam/frame.jpg"), "source-unavailable")
        assert state(client)["listeners"] == 0


def test_listeners_are_told_that_a_camera_is_away(
    start: Start, photo: bytes, contracts: Path
) -> None:
    schema = json.loads((contracts / "wire.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)

    def receive_error(socket: ClientConnection) -> Message:
        while (message := receive(socket))["type"] != "error":
            pass
        validator.validate(message)
        assert message["error"]["code"] == "source-unavailable"
        assert "127.0.0.1" not in message["error"]["detail"]
        return message

    with camera(mjpeg([photo])) as server:
        port = server.port
        with start(source=(f"cam=http://127.0.0.1:{port}/",)) as client, watching(client) as socket:
            assert receive(socket)["type"] == "detections"
            server.is_on = False
            server.shutdown()
            server.server_close()
            told = receive_error(socket)
            while "Connection refused" not in told["error"]["detail"]:
                told = receive_error(socket)
            with watching(client) as late:
                assert receive(late) == told
            with camera(mjpeg([photo]), port):
                assert receive(socket)["type"] == "detections"  # it was told once
                with watching(client) as late:
                    assert receive(late)["type"] == "detections"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("photo.jpg", "the file is no video"),
        ("text.mp4", "the file is no video"),
        ("folder", "it is a folder"),
        ("none.mp4", "there is no such file"),
        ("http://host.invalid/", "host name is not found"),
        ("rtsp://host.invalid/", "host name is not found"),
    ],
)
def test_why_a_source_cannot_be_opened_is_said(
    name: str, reason: str, photo: bytes, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo)
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    (tmp_path / "folder").mkdir()
    (spec,) = read_sources([f"cam={name if '://' in name else tmp_path / name}"])
    states: queue.Queue[capture.CaptureState] = queue.Queue()
    source = capture.LiveCapture(spec, lambda picture: None, states.put)
    source.start()
    try:
        told = states.get(timeout=30)
    finally:
        source.stop()
    source.join(30)
    assert told.state == "waiting"
    assert reason in str(told.error)
    assert states.empty()
