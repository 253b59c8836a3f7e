"""The OpenAPI document says what the server does: by its shapes, and by cases made from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from sightline.server.errors import STATUS_OF_CODE

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    return dict(client.get("/openapi.json").json())


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_is_described(client: httpx.Client, document: dict[str, Any]) -> None:
    labels = {label for label, _ in operations(document)}
    assert labels >= {
        "POST /v1/detect",
        "GET /v1/models",
        "GET /v1/models/{name}",
        "POST /image",
        "GET /test",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /models/{name}/{file}",
        "GET /models/{name}/{version}/{file}",
        "GET /v2",
        "GET /v2/health/live",
        "GET /v2/health/ready",
        "GET /v2/models/{name}",
        "GET /v2/models/{name}/ready",
        "POST /v2/models/{name}/infer",
        "POST /v2/models/{name}/versions/{number}/infer",
        "POST /v1/webrtc/offer",
        "POST /v1/whip",
    }
    assert all(operation["summary"] for _, operation in operations(document))
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_errors_have_the_one_shape(document: dict[str, Any], contracts: Path) -> None:
    assert "ValidationError" not in json.dumps(document)
    for label, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            assert list(response["content"]) == ["application/problem+json"], label
            codes = response["description"].split(", ")
            assert {STATUS_OF_CODE[code] for code in codes} == {int(status)}, label
        assert {"401", "403", "429", "500", "503"} <= set(operation["responses"]), label
    ours = json.loads((contracts / "error.schema.json").read_text())
    shown = document["components"]["schemas"]["Problem"]
    assert shown["required"] == ours["required"]
    assert shown["additionalProperties"] is ours["additionalProperties"] is False
    assert set(shown["properties"]) == set(ours["properties"])
    assert shown["properties"]["code"]["enum"] == ours["properties"]["code"]["enum"]


def test_answers_have_the_shape_of_the_contract(document: dict[str, Any], contracts: Path) -> None:
    """The same answers are right, and wrong, by both."""
    wire = json.loads((contracts / "wire.schema.json").read_text())
    ours = jsonschema.Draft202012Validator({"$defs": wire["$defs"], "$ref": "#/$defs/answer"})
    shown = jsonschema.Draft202012Validator(
        {**document, "$ref": "#/components/schemas/DetectAnswer"}
    )
    timing = {"queue_ms": 0.1, "decode_ms": 1.0, "infer_ms": 9.5, "total_ms": 10.6}
    found = {"label": "cat", "score": 0.5, "box": [-0.5, 1, 2, 3]}
    answer = {"model": "m", "width": 2, "height": 3, "threshold": 0.5}
    answer |= {"detections": [found], "timing": timing}
    assert ours.is_valid(answer) and shown.is_valid(answer)
    for key in answer:
        short = {name: value for name, value in answer.items() if name != key}
        assert not ours.is_valid(short) and not shown.is_valid(short), key
    wrong = (
        {"width": 0},
        {"threshold": 1.5},
        {"more": 1},
        {"detections": [{**found, "box": [1, 2, 3]}]},
        {"detections": [{**found, "score": "0.5"}]},
        {"detections": None},
        {"timing": {**timing, "infer_ms": -1}},
        {"timing": {"total_ms": 1}},
    )
    for change in wrong:
        changed = {**answer, **change}
        assert not ours.is_valid(changed) and not shown.is_valid(changed), change


def test_messages_of_the_contract(contracts: Path) -> None:
    wire = json.loads((contracts / "wire.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(wire)
    error = json.loads((contracts / "error.schema.json").read_text())
    # The one place where the shape is written twice, for readers that take one file.
    assert wire["$defs"]["problem"]["required"] == error["required"]
    assert wire["$defs"]["problem"]["properties"]["code"] == error["properties"]["code"]
    of_any_kind = jsonschema.Draft202012Validator(wire)
    ready = {"type": "ready", "model": "m", "labels": ["a"], "threshold": 0.5}
    still = {"type": "still", "frame": 3, "dropped": 0, "model": "m", "width": 2, "height": 3}
    still |= {"threshold": 0.5}
    still["timing"] = dict.fromkeys(("queue_ms", "decode_ms", "infer_ms", "total_ms"), 0.0)
    assert of_any_kind.is_valid(ready) and of_any_kind.is_valid(still)
    found = {**still, "type": "detections", "detections": []}
    assert of_any_kind.is_valid(found)
    for wrong in (
        {},
        {**ready, "type": "detections"},
        {**still, "detections": []},
        {**still, "type": "detections"},
        {**found, "frame": -1},
        {"type": "error", "error": {"code": "busy"}},
    ):
        assert not of_any_kind.is_valid(wrong), wrong


@pytest.mark.slow
def test_cases_made_from_the_document(start: Any, caplog: Any) -> None:
    with start() as client:
        fuzzing = subprocess.run(
            [sys.executable, "tools/fuzz_api.py", str(client.base_url), "--cases", "300"],
            cwd=REPO,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert fuzzing.returncode == 0, fuzzing.stdout + fuzzing.stderr
        assert ", 0 with faults" in fuzzing.stdout
        assert client.get("/healthz").is_success
    assert not [each for each in caplog.records if each.name.startswith("sightline")]
