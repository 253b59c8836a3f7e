"""The 2017 wire format: by hand, by a client written from its description, and on bad input."""

from __future__ import annotations

import base64
import gc
import io
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from sightline.detections import Detections
from sightline.server.job import Answer, Timing
from sightline.server.legacy import wire_objects
from sightline.server.plan import Plan
from sightline.server.served import ModelStore


class Client2017:
    """What the 2017 page did: upload a blob, pick objects by class_name, edges to extents."""

    def __init__(self, client: httpx.Client, origin: str | None = None) -> None:
        self.client = client
        self.headers = {} if origin is None else {"Origin": origin}

    def detect(self, jpeg: bytes, threshold: float | None = None) -> list[Any]:
        files = {"image": ("blob", jpeg, "image/jpeg")}
        data = {} if threshold is None else {"threshold": str(threshold)}
        response = self.client.post("/image", files=files, data=data, headers=self.headers)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        objects = json.loads(response.text)
        assert isinstance(objects, list)
        return objects

    @staticmethod
    def rectangles(objects: list[Any], width: float, height: float) -> list[tuple[Any, ...]]:
        """(class, score, x, y, width, height) in pixels, as the old script drew them."""
        drawn = []
        for each in objects:
            if each.get("class_name"):
                x, y = each["x"] * width, each["y"] * height
                drawn.append(
                    (
                        each["class_name"],
                        each["score"],
                        x,
                        y,
                        each["width"] * width - x,
                        each["height"] * height - y,
                    )
                )
        return drawn


def photo(shared: Path) -> bytes:
    return (shared / "data" / "broken" / "01_ok.jpg").read_bytes()


def test_wire_objects_by_hand() -> None:
    """The example of the 2017 article: a dog by its edges in 0..1."""
    found = Detections(
        boxes_xyxy=np.array([[1.922, 3.908, 31.577, 87.21]], np.float32),
        scores=np.array([0.940691], np.float32),
        label_ids=np.array([1], np.int32),
        class_names=("cat", "dog"),
        width=100,
        height=100,
    )
    header, dog = wire_objects(
        Answer("pets", 0.5, found.width, found.height, found, None, Timing(0, 0, 0, 0))
    )
    assert header == {"name": "pets", "version": "0.0.1", "numObjects": 1, "threshold": 0.5}
    assert list(dog) == ["name", "class_name", "score", "y", "x", "height", "width"]
    assert (dog["name"], dog["class_name"]) == ("Object", "dog")
    # 1e-6: a float32 has seven digits
    assert dog["score"] == pytest.approx(0.940691, abs=1e-6)
    assert (dog["y"], dog["x"]) == pytest.approx((0.03908, 0.01922), abs=1e-6)
    assert (dog["height"], dog["width"]) == pytest.approx((0.8721, 0.31577), abs=1e-6)


def test_2017_client_draws_the_boxes_python_finds(
    client: httpx.Client, atto: ModelStore, shared: Path
) -> None:
    found = atto.default.detector()(photo(shared), threshold=0.3)
    assert len(found) >= 1
    objects = Client2017(client).detect(photo(shared), 0.3)
    drawn = Client2017.rectangles(objects, found.width, found.height)
    assert [each[:2] for each in drawn] == [(one.label, one.score) for one in found]
    for (_, _, x, y, width, height), one in zip(drawn, found, strict=True):
        # 1e-4 px: divided by the size and multiplied again in double precision
        assert (x, y, x + width, y + height) == pytest.approx(one.box_xyxy, abs=1e-4)


def test_a_score_at_the_threshold_counts(
    client: httpx.Client, atto: ModelStore, shared: Path
) -> None:
    scores = [one.score for one in atto.default.detector()(photo(shared), threshold=0.1)]
    middle = scores[len(scores) // 2]
    header, *objects = Client2017(client).detect(photo(shared), middle)
    assert header["numObjects"] == len(objects) == sum(score >= middle for score in scores)
    assert min(each["score"] for each in objects) == middle
    assert header["threshold"] == middle


@pytest.mark.parametrize("threshold", [0, 1])
def test_thresholds_at_the_ends(client: httpx.Client, shared: Path, threshold: float) -> None:
    header, *objects = Client2017(client).detect(photo(shared), threshold)
    assert len(objects) == header["numObjects"] == (300 if threshold == 0 else 0)


def test_without_threshold_the_models_own_counts(
    start: Any, atto_bundle: Path, tmp_path: Path, shared: Path
) -> None:
    bundle = tmp_path / "tuned"
    shutil.copytree(atto_bundle, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["score_threshold"] = 0.05
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    store = ModelStore.load([bundle], Plan(1, 1))
    with start(store=store) as client:
        header, *objects = Client2017(client).detect(photo(shared))
        empty = client.post("/image", files={"image": photo(shared)}, data={"threshold": ""}).json()
    assert header["threshold"] == 0.05
    assert len(objects) == len(store.default.detector()(photo(shared), threshold=0.05)) > 2
    assert empty[0] == header  # a form field left empty is a field not filled in


def test_sample_picture_is_detected_in(client: httpx.Client) -> None:
    header, *objects = client.get("/test").json()
    assert header["numObjects"] == 2
    assert {each["class_name"] for each in objects} == {"stop sign", "clock"}


def test_every_broken_file_is_answered(
    client: httpx.Client, shared: Path, check_problem: Any, refused_files: dict[str, str]
) -> None:
    answers = {}
    for path in sorted((shared / "data" / "broken").iterdir()):
        if path.suffix == ".md":
            continue
        response = client.post("/image", files={"image": (path.name, path.read_bytes())})
        answers[path.name] = None
        if response.status_code != 200:
            answers[path.name] = response.json()["code"]
            value = check_problem(response, response.json()["code"])
            assert path.name in value["detail"]
            assert str(shared) not in response.text
    assert len(answers) > 30
    assert {name: code for name, code in answers.items() if code} == refused_files


def test_pictures_of_every_kind_match_python(
    client: httpx.Client, atto: ModelStore, shared: Path
) -> None:
    for name in ("14_exif_orientation_6.jpg", "15_cmyk.jpg", "18_rgb16.png", "20_rgba.png"):
        content = (shared / "data" / "broken" / name).read_bytes()
        found = atto.default.detector()(content, threshold=0.1)
        objects = Client2017(client).detect(content, 0.1)
        drawn = Client2017.rectangles(objects, found.width, found.height)
        assert [each[:2] for each in drawn] == [(one.label, one.score) for one in found]


@pytest.mark.parametrize("threshold", ["abc", "nan", "-0.1", "1.5", "1e999", "0,5"])
def test_senseless_thresholds(
    client: httpx.Client, shared: Path, check_problem: Any, threshold: str
) -> None:
    files, data = {"image": photo(shared)}, {"threshold": threshold}
    value = check_problem(client.post("/image", files=files, data=data), "invalid-request")
    assert value["detail"].startswith("threshold: ")


def test_requests_without_an_image(client: httpx.Client, shared: Path, check_problem: Any) -> None:
    missing = [
        client.post("/image"),
        client.post("/image", json={"image": "aGVsbG8="}),
        client.post("/image", content=photo(shared), headers={"Content-Type": "image/jpeg"}),
        client.post("/image", files={"picture": photo(shared)}),
    ]
    for response in missing:
        assert (
            check_problem(response, "invalid-request")["detail"] == "image: this field is missing"
        )
    as_text = client.post("/image", data={"image": "hello"}, files={"other": b""})
    assert "a file is expected" in check_problem(as_text, "invalid-request")["detail"]
    value = check_problem(client.get("/image"), "method-not-allowed")
    assert "POST" in value["detail"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n"),  # no boundary
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"hello"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n\xff\xd8',
        ),
        ("multipart/form-data; boundary=" + "x" * 5000, b"--x--"),
        ("application/x-www-form-urlencoded", b"image=%zz&" * 2000),
        ("application/x-www-form-urlencoded", b"\x00\xff" * 700_000),
    ],
)
# Starlette leaves the upload's temporary file of a body cut short to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_malformed_bodies(client: httpx.Client, content_type: str, body: bytes) -> None:
    response = client.post("/image", content=body, headers={"Content-Type": content_type})
    gc.collect()  # while the warning is ignored
    assert response.status_code in (400, 422), response.text
    assert response.json()["code"] in ("malformed-request", "invalid-request", "image-unreadable")


def test_a_fault_of_ours_tells_nothing(
    start: Any, atto_bundle: Path, shared: Path, check_problem: Any, caplog: Any
) -> None:
    store = ModelStore.load([atto_bundle], Plan(1, 1))
    del store.default.detector().engine
    with start(store=store) as client:
        response = client.post("/image", files={"image": photo(shared)})
        check_problem(response, "internal")
        assert "engine" not in response.text and "Traceback" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"
        assert client.get("/healthz").status_code == 200
    assert "/image failed" in caplog.text and "AttributeError" in caplog.text


def test_a_long_file_name_is_cut(client: httpx.Client, check_problem: Any) -> None:
    response = client.post("/image", files={"image": ("n" * 2000, b"no image")})
    assert len(check_problem(response, "image-unreadable")["detail"]) < 300


def test_largest_photo_that_is_taken(client: httpx.Client) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (5000, 5000), "gray").save(picture, "JPEG")  # 25 megapixels
    assert client.post("/image", files={"image": picture.getvalue()}).status_code == 200


def test_from_the_same_origin(client: httpx.Client, shared: Path, check_problem: Any) -> None:
    own = f"http://{client.base_url.netloc.decode()}"
    assert len(Client2017(client, own).detect(photo(shared))) > 1
    files = {"image": ("blob", photo(shared), "image/jpeg")}
    other = {"Origin": "https://pages.example"}
    check_problem(client.post("/image", files=files, headers=other), "origin-refused")
    assert "access-control-allow-origin" not in client.get("/test", headers=other).headers


def test_from_anywhere_as_in_2017(start: Any, shared: Path) -> None:
    """`--open --cors-origin '*'`: what flask-cors answered, and never with credentials."""
    page = "https://pages.example"
    with start(open=True, cors_origin="*") as client:
        assert len(Client2017(client, page).detect(photo(shared), 0.3)) > 1
        files = {"image": ("blob", photo(shared), "image/jpeg")}
        answers = [
            client.post("/image", files=files, headers={"Origin": page}),
            client.post("/image", headers={"Origin": page}),  # the page must see what is wrong
            client.get("/test", headers={"Origin": page}),
            client.get("/nothing", headers={"Origin": page}),
        ]
        assert [answer.status_code for answer in answers] == [200, 422, 200, 404]
        asked = client.options(
            "/image",
            headers={
                "Origin": page,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        assert asked.status_code == 200
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert "content-type" in asked.headers["access-control-allow-headers"].lower()
        for answer in (*answers, asked):
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers


# What the page of 2017 ran for each frame, in its words: a blob in a form, by XMLHttpRequest.
OLD_PAGE = """async ([address, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  const form = new FormData();
  form.append("image", new Blob([bytes], { type: "image/jpeg" }));
  form.append("threshold", 0.3);
  return await new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address, true);
    request.onload = () => resolve([request.status, JSON.parse(request.response)]);
    request.onerror = () => reject(new Error("the browser refused"));
    request.send(form);
  });
}"""


@pytest.fixture
def foreign_page() -> Iterator[str]:
    """The address of a page of another origin, as a site's own server sends it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.browser
def test_in_a_browser_from_another_origin(start: Any, shared: Path, foreign_page: str) -> None:
    from playwright.sync_api import Error, sync_playwright

    jpeg = base64.b64encode(photo(shared)).decode()
    with (
        start(open=True, cors_origin="*") as open_to_all,
        start() as closed,
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu"],
        ) as browser,
    ):
        page = browser.new_page()
        page.goto(foreign_page)
        status, objects = page.evaluate(OLD_PAGE, [f"{open_to_all.base_url}/image", jpeg])
        assert status == 200
        assert objects == Client2017(open_to_all).detect(photo(shared), 0.3)
        with pytest.raises(Error, match="the browser refused"):
            page.evaluate(OLD_PAGE, [f"{closed.base_url}/image", jpeg])
        page.goto(f"{closed.base_url}/healthz")
        status, again = page.evaluate(OLD_PAGE, [f"{closed.base_url}/image", jpeg])
        assert (status, again) == (200, objects)
