"""The Open Inference Protocol with a client that others wrote (tritonclient), and by hand."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from sightline.data.images import decode_image
from sightline.server.served import ModelStore

NAME = "deimv2-atto"
INFER = f"/v2/models/{NAME}/infer"
LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def photo(shared: Path) -> bytes:
    return (shared / "data" / "broken" / "01_ok.jpg").read_bytes()


@pytest.fixture(scope="module")
def pixels(photo: bytes) -> Any:
    return np.asarray(decode_image(photo, name="photo"))[None]


@pytest.fixture
def client2(client: httpx.Client) -> Iterator[Any]:
    with triton.InferenceServerClient(client.base_url.netloc.decode()) as made:
        yield made


def tensor(values: Any, kind: str, *, binary: bool = True) -> Any:
    made = triton.InferInput("image", list(values.shape), kind)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def test_server_and_model_describe_themselves(client2: Any, atto: ModelStore) -> None:
    assert client2.is_server_live() and client2.is_server_ready()
    server = client2.get_server_metadata()
    assert server["name"] == "sightline" and "binary_tensor_data" in server["extensions"]
    assert client2.is_model_ready(NAME)
    assert client2.is_model_ready(NAME, atto.default.version)
    assert not client2.is_model_ready("none") and not client2.is_model_ready(NAME, "9")
    model = client2.get_model_metadata(NAME)
    assert (model["name"], model["versions"]) == (NAME, [atto.default.version])
    assert model["platform"] == "onnxruntime_onnx"
    assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [1, -1, -1, 3]}]
    assert {each["name"]: each["datatype"] for each in model["outputs"]} == {
        "boxes": "FP32",
        "scores": "FP32",
        "labels": "INT32",
        "names": "BYTES",
    }
    assert model["parameters"]["labels"].split(",") == list(atto.default.manifest.labels)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_pixels(
    client2: Any, pixels: Any, atto: ModelStore, binary_in: bool, binary_out: bool | None
) -> None:
    names = ("boxes", "scores", "labels", "names")
    wanted = None
    if binary_out is not None:
        wanted = [triton.InferRequestedOutput(each, binary_data=binary_out) for each in names]
    result = client2.infer(
        NAME,
        [tensor(pixels, "UINT8", binary=binary_in)],
        outputs=wanted,
        request_id="seventeen",
        model_version=atto.default.version,
        parameters={"threshold": 0.1, "max": 5},
    )
    found = atto.default.detector()(pixels[0], threshold=0.1)[:5]
    assert len(found) > 1
    assert result.as_numpy("boxes").shape == (1, len(found), 4)
    # exact: the same graph on the same pixels, and float32 survives JSON
    np.testing.assert_array_equal(result.as_numpy("boxes")[0], found.boxes_xyxy)
    np.testing.assert_array_equal(result.as_numpy("scores")[0], found.scores)
    np.testing.assert_array_equal(result.as_numpy("labels")[0], found.label_ids)
    assert result.as_numpy("boxes").dtype == result.as_numpy("scores").dtype == np.float32
    assert result.as_numpy("labels").dtype == np.int32
    texts = [
        each.decode() if isinstance(each, bytes) else each for each in result.as_numpy("names")[0]
    ]
    assert texts == found.labels
    head = result.get_response()
    assert (head["id"], head["model_name"]) == ("seventeen", NAME)
    assert head["model_version"] == atto.default.version


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_image_files(client2: Any, photo: bytes, atto: ModelStore, shape: tuple[int, ...]) -> None:
    image = np.array([photo], np.object_).reshape(shape)
    result = client2.infer(NAME, [tensor(image, "BYTES")], parameters={"threshold": 0.1})
    found = atto.default.detector()(photo, threshold=0.1)
    np.testing.assert_array_equal(result.as_numpy("boxes")[0], found.boxes_xyxy)
    text = np.array([base64.b64encode(photo)], np.object_).reshape(shape)
    again = client2.infer(
        NAME, [tensor(text, "BYTES", binary=False)], parameters={"threshold": 0.1}
    )
    np.testing.assert_array_equal(again.as_numpy("boxes")[0], found.boxes_xyxy)


def test_outputs_asked_for(client2: Any, pixels: Any) -> None:
    wanted = [triton.InferRequestedOutput("scores"), triton.InferRequestedOutput("labels")]
    result = client2.infer(NAME, [tensor(pixels, "UINT8")], outputs=wanted)
    assert [each["name"] for each in result.get_response()["outputs"]] == ["scores", "labels"]
    nothing = client2.infer(NAME, [tensor(pixels, "UINT8")], parameters={"threshold": 1.0})
    assert nothing.as_numpy("boxes").shape == (1, 0, 4)
    assert nothing.as_numpy("names").shape == (1, 0)


@pytest.mark.parametrize(
    ("values", "kind", "parameters", "said"),
    [
        (np.zeros((1, 2, 2, 4), np.uint8), "UINT8", {}, r"\[1, height, width, 3\]"),
        (np.zeros((2, 2, 2, 3), np.uint8), "UINT8", {}, r"\[1, height, width, 3\]"),
        (np.zeros((2, 2, 3), np.uint8), "UINT8", {}, r"\[1, height, width, 3\]"),
        (np.zeros((1, 0, 2, 3), np.uint8), "UINT8", {}, "at least 1"),
        (np.zeros((1, 2, 2, 3), np.float32), "FP32", {}, "UINT8"),
        (np.array([b"a", b"b"], np.object_), "BYTES", {}, r"\[1\]"),
        (np.array([b"no image"], np.object_), "BYTES", {}, "the image"),
        (np.zeros((1, 2, 2, 3), np.uint8), "UINT8", {"threshold": 2.0}, "threshold: "),
        (np.zeros((1, 2, 2, 3), np.uint8), "UINT8", {"labels": "unicorn"}, "unicorn"),
        (np.zeros((1, 2, 2, 3), np.uint8), "UINT8", {"track": True}, "track"),
    ],
)
def test_the_client_is_told_what_was_wrong(
    client2: Any, values: Any, kind: str, parameters: Any, said: str
) -> None:
    with pytest.raises(InferenceServerException, match=said) as refused:
        client2.infer(NAME, [tensor(values, kind)], parameters=parameters)
    assert refused.value.status() == "422"


def test_refusals_around_the_request(client2: Any, pixels: Any) -> None:
    for name, version in (("none", ""), (NAME, "9")):
        with pytest.raises(InferenceServerException, match="here") as refused:
            client2.infer(name, [tensor(pixels, "UINT8")], model_version=version)
        assert refused.value.status() == "404"
    with pytest.raises(InferenceServerException, match="Content-Encoding") as refused:
        client2.infer(NAME, [tensor(pixels, "UINT8")], request_compression_algorithm="gzip")
    assert refused.value.status() == "415"
    other = triton.InferInput("pixels", list(pixels.shape), "UINT8")
    other.set_data_from_numpy(pixels)
    with pytest.raises(InferenceServerException, match="name image"):
        client2.infer(NAME, [other])
    with pytest.raises(InferenceServerException, match="boxes, scores"):
        client2.infer(
            NAME, [tensor(pixels, "UINT8")], outputs=[triton.InferRequestedOutput("masks")]
        )
    with pytest.raises(InferenceServerException, match="classification"):
        wanted = [triton.InferRequestedOutput("labels", class_count=2)]
        client2.infer(NAME, [tensor(pixels, "UINT8")], outputs=wanted)


def test_a_token_is_asked_for_in_the_clients_words(start: Any, pixels: Any) -> None:
    with (
        start(token="correct-horse") as client,
        triton.InferenceServerClient(client.base_url.netloc.decode()) as client2,
    ):
        assert client2.is_server_live()
        with pytest.raises(InferenceServerException, match="Authorization: Bearer") as refused:
            client2.infer(NAME, [tensor(pixels, "UINT8")])
        assert refused.value.status() == "401"
        shown = {"Authorization": "Bearer correct-horse"}
        result = client2.infer(NAME, [tensor(pixels, "UINT8")], headers=shown)
        assert result.as_numpy("scores") is not None


def test_errors_are_problems_with_one_member_more(client: httpx.Client, check_problem: Any) -> None:
    for response in (
        client.get("/v2/models/none"),
        client.get("/v2/none"),
        client.get(INFER),
        client.post(INFER, content=b"{"),
        client.post(INFER, json={}),
    ):
        value = check_problem(response, response.json()["code"])
        assert value["error"] == value["detail"]
    assert "error" not in client.get("/v1/models/none").json()


def test_every_broken_file_is_answered(
    client: httpx.Client, shared: Path, check_problem: Any, refused_files: dict[str, str]
) -> None:
    codes = {}
    for path in sorted((shared / "data" / "broken").iterdir()):
        if path.suffix == ".md":
            continue
        content = path.read_bytes()
        binary = struct.pack("<I", len(content)) + content
        parts = {"name": "image", "shape": [1], "datatype": "BYTES"}
        head = json.dumps(
            {"inputs": [{**parts, "parameters": {"binary_data_size": len(binary)}}]}
        ).encode()
        raw = client.post(INFER, content=head + binary, headers={LENGTH: str(len(head))})
        text = {**parts, "data": [base64.b64encode(content).decode()]}
        as_json = client.post(INFER, json={"inputs": [text]})
        assert raw.status_code == as_json.status_code
        if raw.is_success:
            assert raw.json() == as_json.json()
        else:
            codes[path.name] = check_problem(raw, raw.json()["code"])["code"]
            assert raw.json() == as_json.json()
    assert codes == refused_files


def infer(data: Any, shape: Any = (1, 1, 2, 3), kind: Any = "UINT8") -> bytes:
    tensor = {"name": "image", "shape": list(shape), "datatype": kind, "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.mark.parametrize("data", [[0, 1, 2, 3, 4, 255], [[[[0, 1, 2], [3, 4, 255]]]]])
def test_pixels_as_json(client: httpx.Client, data: Any) -> None:
    assert client.post(INFER, content=infer(data)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        infer([]),
        infer([0, 1, 2]),
        infer([0, 1, 2, 3, 4, 256]),
        infer([0, 1, 2, 3, 4, -1]),
        infer([0, 1, 2, 3, 4, 0.5]),
        infer([0, 1, 2, 3, 4, None]),
        infer("pixels"),
        infer({}),
        infer([[[[0, 1, 2], [3, 4]]]]),
        infer([[[0, 1, 2], [3, 4, 5]]]),
        infer([[[[0, 1], [2, 3], [4, 5]]]]),
        infer(["!!!"], [1], "BYTES"),
        infer(["é"], [1], "BYTES"),
        infer([], [1], "BYTES"),
        infer([["", ""]], [1, 1], "BYTES"),
        infer([1], [1], "BYTES"),
        infer([0], [1, 1, 2**62, 3]),
        infer([0], [1, 70_000, 1, 3]),
        infer([0], [1, 6000, 6000, 3]),
        infer([0], [1, -1, 2, 3]),
        infer([0], [1, 1.5, 2, 3]),
        infer([0], "shape"),
        infer([0], (1, 1, 2, 3), None),
        b"",
        b"{",
        b"null",
        b"\xff\xfe",
        b'{"inputs": []}',
        b'{"inputs": [{"name": "image", "shape": [1,1,1,3], "datatype": "UINT8"}]}',
        b'{"inputs": [{"name": "image", "shape": [1,1,1,3], "datatype": "UINT8", "data": '
        + b"[" * 100_000,
        b'{"inputs": [{"name": "image", "shape": [1,1,1,3], "datatype": "UINT8", "data": '
        + b"[" * 100_000
        + b"]" * 100_000
        + b"}]}",
        b'{"inputs": [{"name": "image", "shape": [1,1,1,3], "datatype": "UINT8", "parameters": '
        b'{"binary_data_size": 3}}]}',
        b'{"parameters": ' + b'{"a":' * 100_000,
        b'{"id": 5, "inputs": []}',
        b'{"inputs": [{"name": "image"}, {"name": "image"}]}',
        b'{"parameters": {"a": "' + b"a" * 70_000 + b'"}, ' + infer([0] * 6)[1:],
        b'{"parameters": {"a": [1]}, ' + infer([0] * 6)[1:],
        b'{"id": "\\ud800", "inputs": [{"name": "image"}]}',
    ],
)
def test_malformed_requests(client: httpx.Client, check_problem: Any, body: bytes) -> None:
    response = client.post(INFER, content=body)
    assert 400 <= response.status_code < 500, response.text
    check_problem(response, response.json()["code"])
    assert len(response.json()["detail"]) < 300


def test_large_json_is_for_binary_tensors(
    client: httpx.Client, client2: Any, check_problem: Any
) -> None:
    picture = np.full((1, 1100, 1000, 3), 200, np.uint8)
    response = client.post(INFER, content=infer(picture.ravel().tolist(), picture.shape))
    assert "binary" in check_problem(response, "body-too-large")["detail"]
    assert client2.infer(NAME, [tensor(picture, "UINT8")]).as_numpy("boxes").shape[2] == 4


@pytest.mark.parametrize(
    ("length", "size", "binary"),
    [
        ("-1", 3, bytes(3)),
        ("x", 3, bytes(3)),
        ("99999999999", 3, bytes(3)),
        ("70000", 3, bytes(3)),
        ("0", 3, bytes(3)),
        ("5", 3, bytes(3)),
        (None, 4, bytes(3)),
        (None, 3, bytes(4)),
        (None, 0, b""),
        (None, -3, bytes(3)),
        (None, "3", bytes(3)),
        (None, True, bytes(1)),
        (None, 2**70, bytes(3)),
    ],
)
def test_malformed_binary_requests(
    client: httpx.Client, check_problem: Any, length: str | None, size: Any, binary: bytes
) -> None:
    """The right one is [1, 1, 1, 3] with three bytes, and the JSON's own length."""
    one = {"name": "image", "shape": [1, 1, 1, 3], "datatype": "UINT8"}
    head = json.dumps({"inputs": [{**one, "parameters": {"binary_data_size": size}}]}).encode()
    headers = {LENGTH: str(len(head)) if length is None else length}
    response = client.post(INFER, content=head + binary, headers=headers)
    assert 400 <= response.status_code < 500, response.text
    check_problem(response, response.json()["code"])


def test_bytes_elements_that_lie_about_their_length(
    client: httpx.Client, check_problem: Any
) -> None:
    for binary in (b"", b"\x01", struct.pack("<I", 9) + b"abc", struct.pack("<I", 1) + b"abc"):
        one = {"name": "image", "shape": [1], "datatype": "BYTES"}
        size = {"binary_data_size": len(binary)}
        head = json.dumps({"inputs": [{**one, "parameters": size}]}).encode()
        response = client.post(INFER, content=head + binary, headers={LENGTH: str(len(head))})
        assert "four bytes" in check_problem(response, "invalid-request")["detail"]
