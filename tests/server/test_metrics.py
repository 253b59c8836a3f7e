"""What is counted, read as Prometheus reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families


def read(client: httpx.Client, **headers: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Value by sample name and label values in the order of their names."""
    answer = client.get("/metrics", headers=headers)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.fixture
def photo(shared: Path) -> bytes:
    return (shared / "data" / "broken" / "01_ok.jpg").read_bytes()


def test_requests_stages_and_images(start: Any, photo: bytes) -> None:
    with start() as client:
        for _ in range(3):
            assert client.post("/v1/detect", content=photo).is_success
        assert client.post("/image", files={"image": photo}).is_success
        assert client.post("/v1/detect", content=b"no image").status_code == 422
        client.get("/models/deimv2-atto/model.onnx")
        client.head("/models/deimv2-atto/model.onnx")
        numbers = read(client)
    requests = "sightline_http_requests_total"
    assert numbers[requests, ("POST", "/v1/detect", "200")] == 3
    assert numbers[requests, ("POST", "/v1/detect", "422")] == 1
    assert numbers[requests, ("POST", "/image", "200")] == 1
    assert numbers[requests, ("GET", "/models/{name}/{file}", "200")] == 1
    assert numbers[requests, ("HEAD", "/models/{name}/{file}", "200")] == 1
    assert numbers["sightline_http_request_seconds_count", ("/v1/detect",)] == 4
    assert numbers["sightline_images_total", ("detected", "http")] == 4
    assert numbers["sightline_images_total", ("failed", "http")] == 1
    for stage in ("queue", "decode", "infer", "total"):
        assert numbers["sightline_stage_seconds_count", ("http", stage)] == 4
    assert numbers["sightline_batch_size_count", ()] == 4
    assert numbers["sightline_queue_depth", ()] == 0
    assert numbers["sightline_refused_total", ("image-unreadable",)] == 1


def test_nobody_can_make_up_labels(start: Any, photo: bytes) -> None:
    """Each value of a label is kept for good, so callers must not choose them."""
    with start() as client:
        for i in range(20):
            client.get(f"/made-up/{i}")
            client.get(f"/models/made-up-{i}/x")
            client.get(f"/v2/models/made-up-{i}")
            client.request("PROPFIND", "/v1/detect")
            client.post(f"/v1/detect?model=made-up-{i}", content=photo)
            client.get("/v1/models", headers={"Host": f"made-up-{i}.example"})
        text = client.get("/metrics").text
        numbers = read(client)
    assert "made-up" not in text and "PROPFIND" not in text
    requests = "sightline_http_requests_total"
    assert numbers[requests, ("GET", "/v2/models/{name}", "404")] == 20
    assert numbers[requests, ("GET", "other", "404")] == 20
    assert numbers[requests, ("other", "other", "405")] == 20
    assert numbers["sightline_refused_total", ("origin-refused",)] == 20


def test_refusals_of_every_layer(start: Any, check_problem: Any) -> None:
    with start(token="correct-horse", max_body_mib=1) as client:
        check_problem(client.get("/metrics"), "token-required")
        shown = {"Authorization": "Bearer correct-horse"}
        client.post("/v1/detect", content=bytes(2**20 + 1), headers=shown)
        client.post("/v1/detect", headers={**shown, "Origin": "https://x.example"})
        client.get("/nothing", headers=shown)
        numbers = read(client, **shown)
    for code in ("token-required", "body-too-large", "origin-refused", "not-found"):
        assert numbers["sightline_refused_total", (code,)] == 1, code
