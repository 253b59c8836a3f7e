"""The manifest: round trip, its schema, and damage of every kind as one clear error."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.errors import BundleDamaged, BundleTooNew, ModelError, ModelNotFound, SightlineError
from sightline.manifest import (
    FileEntry,
    Manifest,
    file_entry,
    read_manifest,
    sha256_of,
    verify_files,
    write_manifest,
)
from sightline.runtime.detector import Detector

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[1] / "contracts" / "manifest.schema.json").read_text()
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

EXAMPLE = Manifest(
    name="kangaroo",
    labels=("kangaroo", "größer", "日本"),
    width=416,
    height=320,
    score_threshold=0.37,
    nms_iou=0.7,
    max_detections=300,
    architecture="deimv2-femto",
    base={"name": "deimv2-femto", "license": "Apache-2.0"},
    metrics={"val": {"AP": 0.5, "APs": None}},
    training={"seed": 0},
    files={
        "model.onnx": FileEntry(10, "0" * 64),
        "weights.safetensors": FileEntry(20, "f" * 64),
    },
    parity=({"runtime": "onnxruntime", "images": 16},),
)


SAVED_MODEL = dataclasses.replace(
    EXAMPLE,
    target="savedmodel",
    resize="in-graph",
    input_name="input_tensor",
    output_names=("detection_boxes", "detection_scores", "detection_classes"),
    box_format="yxyx_norm",
    first_label=1,
    files={
        "saved_model.pb": FileEntry(10, "0" * 64),
        "variables/variables.index": FileEntry(20, "f" * 64),
    },
    unproven="imported",
)


def store(folder: Path, value: Any) -> Path:
    (folder / "manifest.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def test_round_trip(tmp_path: Path) -> None:
    for manifest in (EXAMPLE, dataclasses.replace(EXAMPLE, nms_iou=None, parity=()), SAVED_MODEL):
        write_manifest(tmp_path, manifest)
        assert read_manifest(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_schema_is_one_and_takes_what_is_written() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(EXAMPLE.to_json())
    VALIDATOR.validate(SAVED_MODEL.to_json())
    VALIDATOR.validate(dataclasses.replace(EXAMPLE, nms_iou=None).to_json())


def test_a_real_bundle_validates(coco_bundle: Path, tiny_bundle: Path) -> None:
    for bundle in (coco_bundle, tiny_bundle):
        VALIDATOR.validate(json.loads((bundle / "manifest.json").read_text(encoding="utf-8")))
        verify_files(bundle, read_manifest(bundle))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", BundleDamaged, "is not valid JSON"),
        (b"{", BundleDamaged, "is not valid JSON"),
        (b"\xff\xfe", BundleDamaged, "cannot be read"),
        (b"[]", BundleDamaged, "an object expected, found list"),
        (b"[" * 100_000, BundleDamaged, "is not valid JSON"),
        (b"1" * 5000, BundleDamaged, "is not valid JSON"),
        (b"{}", BundleDamaged, "format_version: missing"),
        (b'{"format_version": 2}', BundleTooNew, "upgrade with pip install -U sightline"),
        (b'{"format_version": true}', BundleDamaged, "int expected, found True"),
    ],
)
def test_what_is_no_manifest(
    tmp_path: Path, content: bytes, error: type[ModelError], message: str
) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(error) as caught:
        read_manifest(tmp_path)
    assert message in str(caught.value) and "manifest.json" in str(caught.value)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(ModelNotFound, match=r"no model bundle: it has no manifest\.json"):
            read_manifest(place)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(BundleDamaged, match="cannot be read"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("labels", [], "labels: a list of one or more non-empty strings expected"),
        ("labels", ["a", ""], "labels: a list"),
        ("labels", None, "labels: list expected, found None"),
        ("input.width", 0, "input.width: at least 1 expected, found 0"),
        ("input.height", 3.5, "input.height: int expected, found 3.5"),
        ("input.layout", "NCHW", "input.layout: 'NHWC' expected, found 'NCHW'"),
        ("input.interpolation", "nearest", "input.interpolation: 'bilinear-antialias' expected"),
        ("score_threshold", 1.5, "score_threshold: a number in 0..1 expected, found 1.5"),
        ("score_threshold", float("nan"), "score_threshold: a number in 0..1 expected, found nan"),
        pytest.param("score_threshold", 10**400, "a number in 0..1 expected", id="huge"),
        ("nms_iou", -1, "nms_iou: a number in 0..1 expected"),
        ("files", {}, "files.model.onnx: missing"),
        ("files.model.onnx", "x", "files.model.onnx: dict expected"),
        ("files.model.onnx.sha256", 5, "files.model.onnx.sha256: str expected, found 5"),
        ("outputs.boxes", "other", "outputs: an ONNX graph has boxes, scores and labels from 0 on"),
        ("target", "coreml", "target: 'onnx' or 'onnx-fp16' or"),
        ("target", "tfjs", "files.model.json: missing"),
        ("outputs.first_label", 2, "outputs.first_label: 0 or 1 expected, found 2"),
        ("input.resize", "crop", "input.resize: 'stretch' or 'letterbox' or 'in-graph' expected"),
        ("files", {"../model.onnx": {}}, "a file's path within the bundle expected"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, key: str, value: object, message: str) -> None:
    damaged = EXAMPLE.to_json()
    place = damaged
    *outer, last = key.replace("model.onnx", "model/onnx").split(".")
    for name in outer:
        place = place[name.replace("/", ".")]
    place[last.replace("/", ".")] = value
    with pytest.raises(BundleDamaged) as caught:
        read_manifest(store(tmp_path, damaged))
    assert message in str(caught.value)
    assert value != value or not VALIDATOR.is_valid(damaged)  # NaN is no JSON: no schema sees it


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every key and item in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


PLACES = list(places(EXAMPLE.to_json()))
# 2.0 is an integer to JSON Schema and not to Python; nobody writes it.
fractions = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != round(x))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | fractions | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
DELETE = object()


@given(st.sampled_from(PLACES), st.just(DELETE) | json_values)
@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # one file, written anew
)
def test_one_damaged_place_is_read_or_one_error(
    tmp_path: Path, where: tuple[Any, ...], replacement: Any
) -> None:
    """What the schema accepts can be read; what cannot be read the schema rejects."""
    value: Any = copy.deepcopy(EXAMPLE.to_json())
    place = value
    for key in where[:-1]:
        place = place[key]
    if replacement is DELETE:
        del place[where[-1]]
    else:
        place[where[-1]] = replacement
    value = json.loads(json.dumps(value))
    try:
        read_manifest(store(tmp_path, value))
    except SightlineError as error:
        assert "manifest.json" in str(error) and "\n" not in str(error)
        assert not VALIDATOR.is_valid(value)


@given(st.data())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # restored after each example
)
def test_any_damaged_byte_of_the_graph_is_noticed(tiny_bundle: Path, data: st.DataObject) -> None:
    graph = tiny_bundle / "model.onnx"
    whole = graph.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[position] ^= data.draw(st.integers(1, 255))
    damaged = data.draw(st.sampled_from([bytes(flipped), whole[:position], whole + b"\0"]))
    graph.write_bytes(damaged)
    try:
        with pytest.raises(BundleDamaged, match=r"model\.onnx"):
            Detector.load(tiny_bundle)
    finally:
        graph.write_bytes(whole)


@given(st.data())
@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # restored after each example
)
def test_any_damaged_byte_of_the_manifest_loads_or_is_one_error(
    tiny_bundle: Path, data: st.DataObject
) -> None:
    path = tiny_bundle / "manifest.json"
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(data.draw(st.sampled_from([bytes(flipped), whole[:position]])))
    try:
        assert Detector.load(tiny_bundle).labels
    except ModelError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)


def test_files_are_verified(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    files = {name: file_entry(tmp_path / name) for name in ("model.onnx", "weights.safetensors")}
    manifest = dataclasses.replace(EXAMPLE, files=files)
    expected = "eef93e1d14482804277fca0172464032d1a4fdbcc338524059fa1e861454ad4d"  # by sha256sum
    assert sha256_of(tmp_path / "model.onnx") == files["model.onnx"].sha256 == expected
    verify_files(tmp_path, manifest)
    (tmp_path / "weights.safetensors").unlink()
    verify_files(tmp_path, manifest)  # may be absent where nothing is trained
    with pytest.raises(BundleDamaged, match=r"weights\.safetensors is missing"):
        verify_files(tmp_path, manifest, names=("weights.safetensors",))
    (tmp_path / "model.onnx").write_bytes(b"grapH")
    with pytest.raises(BundleDamaged, match="does not have the sha256"):
        verify_files(tmp_path, manifest)
    (tmp_path / "model.onnx").write_bytes(b"gra")
    with pytest.raises(BundleDamaged, match="has 3 bytes, the manifest says 5"):
        verify_files(tmp_path, manifest)
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(BundleDamaged, match=r"model\.onnx is missing"):
        verify_files(tmp_path, manifest)
