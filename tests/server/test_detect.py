"""POST /v1/detect: raw bodies and forms, options, every damaged file, bodies that end early."""

from __future__ import annotations

import gc
import json
import socket
import tempfile
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from sightline.detections import Detections
from sightline.server.served import ModelStore

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def photo(shared: Path) -> bytes:
    return (shared / "data" / "broken" / "01_ok.jpg").read_bytes()


@pytest.fixture(scope="module")
def found(atto: ModelStore, photo: bytes) -> Detections:
    """What Python finds in the photo from a score of 0.1 on."""
    return atto.default.detector()(photo, threshold=0.1)


@pytest.fixture(scope="module")
def answer_schema(contracts: Path) -> jsonschema.Draft202012Validator:
    schema = json.loads((contracts / "wire.schema.json").read_text())
    return jsonschema.Draft202012Validator({"$defs": schema["$defs"], "$ref": "#/$defs/answer"})


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "image/x-unknown", "application/octet-stream", None]
)
def test_raw_bodies(
    client: httpx.Client, photo: bytes, found: Detections, answer_schema: Any, kind: str | None
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post("/v1/detect?threshold=0.1", content=photo, headers=headers)
    assert response.headers["content-type"] == "application/json"
    value = response.json()
    answer_schema.validate(value)
    assert value["detections"] == found.to_json() != []
    assert (value["model"], value["width"], value["height"]) == ("deimv2-atto", 320, 205)
    timing = value["timing"]
    parts = timing["queue_ms"] + timing["decode_ms"] + timing["infer_ms"]
    # 0.02 ms: each of the four is rounded to hundredths
    assert 0 < timing["infer_ms"] < parts <= timing["total_ms"] + 0.02


def test_forms(client: httpx.Client, photo: bytes, found: Detections) -> None:
    files = {"image": ("a.jpg", photo, "image/jpeg")}
    value = client.post("/v1/detect", files=files, data={"threshold": "0.1", "max": "2"}).json()
    assert value["detections"] == found.to_json()[:2]
    # a field counts more than the address
    value = client.post("/v1/detect?max=1&threshold=0.1", files=files, data={"max": "3"}).json()
    assert value["detections"] == found.to_json()[:3]


def test_a_large_body_is_taken_through_a_file(
    client: httpx.Client, photo: bytes, found: Detections, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    padded = photo + bytes(3_000_000)  # after the end of a JPEG anything may follow
    value = client.post("/v1/detect?threshold=0.1", content=padded, headers=JPEG).json()
    assert value["detections"] == found.to_json()
    assert list(tmp_path.iterdir()) == []


def test_labels_and_max(client: httpx.Client, photo: bytes, found: Detections) -> None:
    label = found.labels[-1]
    url = f"/v1/detect?threshold=0.1&labels={label},zebra"
    value = client.post(url, content=photo).json()
    assert value["detections"] == [each for each in found.to_json() if each["label"] == label]
    value = client.post(f"{url}&max=1", content=photo).json()
    assert len(value["detections"]) == 1


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("threshold=2", "invalid-request", "threshold: "),
        ("threshold=nan", "invalid-request", "threshold: "),
        ("max=0", "invalid-request", "max: "),
        ("max=1.5", "invalid-request", "max: "),
        ("labels=unicorn", "invalid-request", "unicorn"),
        ("model=none", "not-found", "deimv2-atto"),
        ("track=1", "invalid-request", "track"),
        ("motion=true", "invalid-request", "motion"),
        ("motion=perhaps", "invalid-request", "motion: "),
    ],
)
def test_options_that_do_not_fit(
    client: httpx.Client, photo: bytes, check_problem: Any, query: str, code: str, said: str
) -> None:
    response = client.post(f"/v1/detect?{query}", content=photo, headers=JPEG)
    assert said in check_problem(response, code)["detail"]
    field, _, text = query.partition("=")
    form = client.post("/v1/detect", files={"image": photo}, data={field: text})
    assert form.json() == response.json()


def test_a_body_as_curl_sends_any_file(
    client: httpx.Client, photo: bytes, found: Detections
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    value = client.post("/v1/detect?threshold=0.1", content=photo, headers=headers).json()
    assert value["detections"] == found.to_json()


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "imagejpeg"])
def test_other_kinds_of_body(
    client: httpx.Client, photo: bytes, check_problem: Any, kind: str
) -> None:
    response = client.post("/v1/detect", content=photo, headers={"Content-Type": kind})
    assert "image/jpeg" in check_problem(response, "unsupported-media")["detail"]


def test_compressed_bodies(client: httpx.Client, photo: bytes, check_problem: Any) -> None:
    headers = {**JPEG, "Content-Encoding": "gzip"}
    check_problem(client.post("/v1/detect", content=photo, headers=headers), "unsupported-media")


def test_every_broken_file_is_answered(
    client: httpx.Client,
    shared: Path,
    check_problem: Any,
    refused_files: dict[str, str],
    answer_schema: Any,
) -> None:
    codes = {}
    for path in sorted((shared / "data" / "broken").iterdir()):
        if path.suffix == ".md":
            continue
        raw = client.post("/v1/detect", content=path.read_bytes())
        form = client.post("/v1/detect", files={"image": (path.name, path.read_bytes())})
        assert raw.status_code == form.status_code
        if raw.is_success:
            answer_schema.validate(raw.json())
            assert raw.json()["detections"] == form.json()["detections"]
        else:
            codes[path.name] = raw.json()["code"]
            assert check_problem(raw, codes[path.name]) == check_problem(form, codes[path.name])
    assert codes == refused_files


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
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--x--',
        ),
        ("multipart/form-data; boundary=" + "x" * 5000, b"--x--"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 100 + b"--x--",
        ),
    ],
)
# Starlette leaves the upload's temporary file of a body cut short to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_malformed_forms(client: httpx.Client, content_type: str, body: bytes) -> None:
    response = client.post("/v1/detect", content=body, headers={"Content-Type": content_type})
    gc.collect()  # while the warning is ignored
    assert response.status_code in (400, 422), response.text
    assert response.json()["code"] in ("malformed-request", "invalid-request")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # as above
def test_a_body_that_ends_early_harms_nobody(
    start: Any, photo: bytes, caplog: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with start() as client:
        part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for kind, sent in (
            ("image/jpeg", b""),
            ("image/jpeg", photo[:100]),
            ("image/jpeg", bytes(2_000_000)),
            ("multipart/form-data; boundary=x", part + photo[:100]),
        ):
            with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
                raw.sendall(b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\n")
                raw.sendall(b"Content-Type: " + kind.encode() + b"\r\n")
                raw.sendall(b"Content-Length: 3000000\r\n\r\n" + sent)
        assert client.post("/v1/detect", content=photo).status_code == 200
    assert not caplog.records


def test_cross_origin(start: Any, photo: bytes) -> None:
    page = "https://pages.example"
    with start(cors_origin=page) as client:
        asked = client.options(
            "/v1/detect",
            headers={
                "Origin": page,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type,authorization",
            },
        )
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == page
        answer = client.post("/v1/detect", content=photo, headers={**JPEG, "Origin": page})
        assert answer.is_success and answer.headers["access-control-allow-origin"] == page
        refused = client.post(
            "/v1/detect", content=photo, headers={**JPEG, "Origin": "https://x.example"}
        )
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
