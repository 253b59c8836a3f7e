"""What browsers fetch: page, assets, models, sample clip."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from sightline.errors import ConfigError, ModelNotFound
from sightline.server.app import create_app
from sightline.server.config import ServeConfig
from sightline.server.plan import Plan
from sightline.server.served import ModelStore


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A built page, as the bundler lays it out."""
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    for name in ("index", "local", "video"):
        (static / f"{name}.html").write_text(f"<!doctype html><title>live {name}</title>")
    for name in (
        "index-B7xK2m9Q.js",
        "ort-wasm.mjs",
        "ort-wasm-simd-threaded.wasm",
        "index-1a2b3c4d.css",
    ):
        (static / "assets" / name).write_bytes(b"content of " + name.encode())
    (tmp_path / "secret.txt").write_text("secret")
    return static


def test_page_and_assets(start: Any, page: Path) -> None:
    with start(static_dir=page) as client:
        for path in ("/", "/local", "/video", "/index.html"):
            answer = client.get(path)
            assert "live" in answer.text
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["cache-control"] == "no-cache"
        for name, kind in (
            ("index-B7xK2m9Q.js", "text/javascript; charset=utf-8"),
            ("index-1a2b3c4d.css", "text/css; charset=utf-8"),
            ("ort-wasm.mjs", "text/javascript; charset=utf-8"),
            ("ort-wasm-simd-threaded.wasm", "application/wasm"),
        ):
            answer = client.get(f"/assets/{name}")
            assert answer.content == b"content of " + name.encode()
            assert answer.headers["content-type"] == kind
            is_hashed = name.startswith("index-")
            assert ("immutable" in answer.headers["cache-control"]) == is_hashed
            again = client.get(f"/assets/{name}", headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == 304


def test_the_pages_of_2017_are_there(start: Any, page: Path) -> None:
    with start(static_dir=page) as client:
        for name in ("local", "video"):
            assert f"live {name}" in client.get(f"/{name}").text


def test_code_for_other_sites_needs_no_token(start: Any, page: Path, check_problem: Any) -> None:
    """A page imports it, and an import shows no token; models and answers stay behind theirs."""
    site = "https://pages.example"
    (page / "sightline.js").write_text("export {};")
    with start(static_dir=page, token="correct-horse", cors_origin=site) as client:
        for path in ("/sightline.js", "/assets/ort-wasm.mjs"):
            answer = client.get(path, headers={"Origin": site})
            assert answer.status_code == 200
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
        for path in ("/v1/models", "/", "/assets/%2e%2e/index.html", "/index.html"):
            refused = client.get(path)
            check_problem(refused, "token-required")
            assert refused.headers["cross-origin-resource-policy"] == "same-origin"
    with start(static_dir=page, token="correct-horse") as client:
        check_problem(client.get("/sightline.js"), "token-required")


def test_nothing_outside_the_page_is_served(start: Any, page: Path, check_problem: Any) -> None:
    (page / "link.txt").symlink_to(page.parent / "secret.txt")
    with start(static_dir=page) as client:
        for path in (
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/assets/..%2f..%2fsecret.txt",
            "/link.txt",
            "/assets",
            "/assets/",
            "//etc/passwd",
        ):
            response = client.get(httpx.URL(str(client.base_url) + path))
            assert response.status_code == 404, path
            assert "secret" not in response.text.replace("secret.txt", "")


def test_unbuilt_page_says_how_to_build_it(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 503
    assert "make web" in answer.text and f"{client.base_url.netloc.decode()}/image" in answer.text


def test_host_header_cannot_write_html(start: Any) -> None:
    with start(open=True) as client:
        assert "<b>" not in client.get("/", headers={"Host": "<b>x"}).text


def test_models_are_listed(client: httpx.Client, atto: ModelStore, atto_bundle: Path) -> None:
    value = client.get("/v1/models").json()
    assert value["sample_clip"] is None
    assert value["default"] == "deimv2-atto"
    (model,) = value["models"]
    base = f"/models/deimv2-atto/{atto.default.version}"
    assert model == {
        "name": "deimv2-atto",
        "version": atto.default.version,
        "target": "onnx",
        "detects": True,
        "labels": list(atto.default.manifest.labels),
        "width": 320,
        "height": 320,
        "score_threshold": 0.5,
        "manifest": f"{base}/manifest.json",
        "graph": f"{base}/model.onnx",
        "bytes": (atto_bundle / "model.onnx").stat().st_size,
        "files": {each: f"{base}/{each}" for each in ("manifest.json", "model.onnx")},
    }
    assert client.get("/v1/models/deimv2-atto").json() == model
    assert client.get(model["manifest"]).json() == json.loads(
        (atto_bundle / "manifest.json").read_text()
    )
    graph = client.get(model["graph"]).content
    assert hashlib.sha256(graph).hexdigest() == atto.default.manifest.files["model.onnx"].sha256


def test_no_page_is_given_a_graph_for_several_images(start: Any, atto: ModelStore) -> None:
    """The live page runs frame by frame; the files are there for who runs them otherwise."""
    whole = atto.default
    batched = replace(whole, manifest=replace(whole.manifest, batch=4))
    with start(store=ModelStore([batched], atto.plan)) as client:
        (model,) = client.get("/v1/models").json()["models"]
        assert (model["detects"], model["graph"], model["bytes"]) == (True, None, None)
        assert client.get(model["files"]["model.onnx"]).status_code == 200


def test_model_files_are_not_sent_twice(client: httpx.Client) -> None:
    path = "/models/deimv2-atto/model.onnx"
    etag = client.get(path).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = client.get(path, headers={"If-None-Match": known})
        assert answer.status_code == 304 and not answer.content
        assert answer.headers["etag"] == etag
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    head = client.head(path)
    assert int(head.headers["content-length"]) == len(client.get(path).content)


def test_files_of_a_version_are_kept_for_good(client: httpx.Client, atto: ModelStore) -> None:
    path = f"/models/deimv2-atto/{atto.default.version}/model.onnx"
    answer = client.get(path)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.content == client.get("/models/deimv2-atto/model.onnx").content
    again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and "immutable" in again.headers["cache-control"]
    assert client.head(path).headers["etag"] == answer.headers["etag"]
    for listing in ("/v1/models", "/v1/models/deimv2-atto", "/models/deimv2-atto/manifest.json"):
        assert client.get(listing).headers["cache-control"] == "no-cache"


def test_a_page_that_is_loading_gets_the_version_before(
    start: Any, tiny_bundle: Path, check_problem: Any
) -> None:
    store = ModelStore.load([tiny_bundle], Plan(1, 1))

    def change(name: str) -> None:
        manifest = json.loads((tiny_bundle / "manifest.json").read_text())
        manifest["labels"][0] = name
        (tiny_bundle / "manifest.json").write_text(json.dumps(manifest))
        while store.get("tiny").manifest.labels[0] != name:  # files must rest between two looks
            store.refresh()

    with start(store=store) as client:
        first = client.get("/v1/models/tiny").json()
        change("second")
        second = client.get("/v1/models/tiny").json()
        assert first["manifest"] != second["manifest"]
        assert client.get(first["manifest"]).json()["labels"][0] == "upper"
        assert client.get(second["manifest"]).json()["labels"][0] == "second"
        assert client.get("/models/tiny/manifest.json").json()["labels"][0] == "second"
        change("third")
        assert client.get(second["manifest"]).json()["labels"][0] == "second"
        check_problem(client.get(first["manifest"]), "not-found")


@pytest.fixture
def browser_artefact(tmp_path: Path) -> Path:
    """The files of a TensorFlow.js artefact, as export lays them out; nothing can run them."""
    from sightline.manifest import Manifest, file_entry, write_manifest

    folder = tmp_path / "tfjs"
    folder.mkdir()
    (folder / "group1-shard1of1.bin").write_bytes(bytes(range(200)))
    (folder / "model.json").write_text(
        json.dumps({"weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": []}]})
    )
    names = ("model.json", "group1-shard1of1.bin")
    write_manifest(
        folder,
        Manifest(
            name="tiny",
            labels=("upper", "lower"),
            width=32,
            height=24,
            score_threshold=0.5,
            nms_iou=None,
            max_detections=4,
            target="tfjs",
            files={name: file_entry(folder / name) for name in names},
        ),
    )
    return folder


def test_an_artefact_for_browsers_from_another_origin(
    start: Any, tiny_bundle: Path, browser_artefact: Path, shared: Path, check_problem: Any
) -> None:
    """The model server of the 2021 article: model.json, and its shards beside it."""
    store = ModelStore.load([browser_artefact, tiny_bundle], Plan(1, 1))
    origin = {"Origin": "https://pages.example"}
    with start(store=store, cors_origin="https://pages.example") as client:
        assert client.get("/v1/models").json()["default"] == "tiny-onnx"
        artefact = client.get("/v1/models/tiny").json()
        assert (artefact["target"], artefact["detects"], artefact["graph"]) == ("tfjs", False, None)
        for address in ("/models/tiny/model.json", artefact["files"]["model.json"]):
            answer = client.get(address, headers=origin)
            assert answer.headers["access-control-allow-origin"] == "https://pages.example"
            assert answer.headers["content-type"] == "application/json"
            (shard,) = answer.json()["weightsManifest"][0]["paths"]
            # as tf.loadGraphModel finds them: beside model.json
            weights = client.get(answer.url.join(shard), headers=origin)
            assert weights.content == bytes(range(200))
            assert weights.headers["access-control-allow-origin"] == "https://pages.example"
            assert "etag" in weights.headers["access-control-expose-headers"].lower()
        stranger = client.get("/models/tiny/model.json", headers={"Origin": "https://x.example"})
        assert "access-control-allow-origin" not in stranger.headers
        image = (shared / "data" / "broken" / "01_ok.jpg").read_bytes()
        value = check_problem(
            client.post("/v1/detect?model=tiny", content=image), "invalid-request"
        )
        assert "/models/tiny/" in value["detail"]
        assert client.post("/v1/detect", content=image).json()["model"] == "tiny-onnx"


def test_only_what_a_browser_needs_is_served(client: httpx.Client, check_problem: Any) -> None:
    for file in ("weights.safetensors", "..%2fmanifest.json", ""):
        check_problem(client.get(f"/models/deimv2-atto/{file}"), "not-found")
    assert "deimv2-atto" in check_problem(client.get("/models/x/model.onnx"), "not-found")["detail"]


def test_a_bundle_deleted_while_serving_goes_on(
    start: Any, atto_bundle: Path, tmp_path: Path, shared: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(atto_bundle, bundle)
    store = ModelStore.load([bundle], Plan(1, 1))
    photo = {"image": (shared / "data" / "broken" / "01_ok.jpg").read_bytes()}
    with start(store=store) as client:
        shutil.rmtree(bundle)
        assert client.post("/image", files=photo).status_code == 200
        assert client.get("/models/deimv2-atto/model.onnx").status_code == 200


def test_several_models_get_names_of_their_own(
    start: Any, atto_bundle: Path, tmp_path: Path
) -> None:
    named = tmp_path / "named"
    shutil.copytree(atto_bundle, named)
    manifest = json.loads((named / "manifest.json").read_text())
    manifest["name"] = "Käfer / best & co"
    (named / "manifest.json").write_text(json.dumps(manifest))
    store = ModelStore.load([atto_bundle, named, atto_bundle], Plan(1, 1))
    assert [model.name for model in store] == ["deimv2-atto", "K-fer-best-co", "deimv2-atto-2"]
    with start(store=store) as client:
        for described in client.get("/v1/models").json()["models"]:
            assert client.get(described["graph"]).status_code == 200


def test_sample_clip(start: Any, shared: Path, check_problem: Any, client: httpx.Client) -> None:
    clip = shared / "data" / "video" / "bottle-detection.mp4"
    with start(sample_clip=str(clip)) as with_clip:
        assert with_clip.get("/v1/models").json()["sample_clip"] == "/sample-clip"
        whole = with_clip.get("/sample-clip")
        assert whole.content == clip.read_bytes()
        assert whole.headers["content-type"] == "video/mp4"
        part = with_clip.get("/sample-clip", headers={"Range": "bytes=1000-1999"})  # as Safari asks
        assert part.status_code == 206 and part.content == clip.read_bytes()[1000:2000]
    check_problem(client.get("/sample-clip"), "not-found")


def test_settings_that_cannot_work(atto: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sample clip"):
        create_app(atto, ServeConfig(sample_clip=str(tmp_path / "none.mp4")))
    with pytest.raises(ConfigError, match="at least one model"):
        ModelStore.load([], Plan(1, 1))
    with pytest.raises(ModelNotFound):
        ModelStore.load([tmp_path / "nothing"], Plan(1, 1))


def test_health(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.head("/healthz").status_code == 200


def test_readiness_ends_before_the_server(start: Any, check_problem: Any) -> None:
    with start(token="correct-horse") as client:
        assert client.get("/readyz").json() == {"status": "ok"}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        client.app.state.service.is_stopping = True
        assert check_problem(client.get("/readyz"), "busy")["status"] == 503
        assert client.get("/readyz").headers["retry-after"]
        check_problem(client.get("/v2/health/ready"), "busy")
        for path in ("/healthz", "/v2/health/live"):
            assert client.get(path).status_code == 200


def test_documentation_page(start: Any, page: Path, client: httpx.Client) -> None:
    answer = client.get("/docs", follow_redirects=True)
    assert answer.status_code == 404 and "/openapi.json" in answer.json()["detail"]
    (page / "docs").mkdir()
    (page / "docs" / "index.html").write_text("<!doctype html><title>API</title>")
    with start(static_dir=page, token="correct-horse") as guarded:
        asking = guarded.get("/docs", headers={"Accept": "text/html"})
        assert asking.status_code == 401 and "API" not in asking.text
        answer = guarded.get(
            "/docs?token=correct-horse", headers={"Accept": "text/html"}, follow_redirects=True
        )
        assert answer.url.path == "/docs/" and "API" in answer.text
        assert guarded.get("/openapi.json").json()["info"]["title"] == "Sightline"


def test_405_names_the_methods_that_are_taken(client: httpx.Client, check_problem: Any) -> None:
    for method, path, allowed in (
        ("GET", "/v1/detect", "POST"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("PUT", "/image", "GET, HEAD, POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/index.html", "GET, HEAD"),
        ("PATCH", "/v2/models/deimv2-atto/infer", "POST"),
    ):
        answer = client.request(method, path)
        check_problem(answer, "method-not-allowed")
        assert answer.headers["allow"] == allowed, (method, path)


def test_head_where_there_is_get(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    filled = {"{name}": "deimv2-atto", "{file}": "model.onnx"}
    # An answer without end has no HEAD: nobody could send the next request after it.
    finite = [
        path
        for path, operations in paths.items()
        if "get" in operations and "event-stream" not in str(operations["get"]["responses"])
    ]
    for path in finite:
        for field, value in filled.items():
            path = path.replace(field, value)
        if "{" in path:
            continue
        get, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
