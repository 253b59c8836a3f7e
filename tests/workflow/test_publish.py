"""Publishing without a browser: what lies in the folder, what is refused, what a kill leaves."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import brotli
import pytest
from PIL import Image

from sightline.errors import PublishError, UsageError
from sightline.manifest import GRAPH_NAME, read_manifest, verify_files, write_manifest
from sightline.server.pages import STATIC_DIR
from sightline.workflow.publish.compress import compress
from sightline.workflow.publish.folder import MARKER, staged_site, write_marker
from sightline.workflow.publish.icons import draw_icon
from sightline.workflow.publish.live_page import derive_page
from sightline.workflow.publish.site import Published, publish

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def built_page() -> None:
    """The page as its sources are now; nothing is done where it is up to date."""
    subprocess.run([sys.executable, REPO / "hatch_build.py"], check=True)


@pytest.fixture(scope="session")
def static(built_page: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages with a part of ONNX Runtime's wasm: what nothing runs compresses faster."""
    copy = tmp_path_factory.mktemp("built") / "static"
    shutil.copytree(STATIC_DIR, copy)
    for wasm in copy.rglob("*.wasm"):
        wasm.write_bytes(wasm.read_bytes()[:200_000])
    return copy


@pytest.fixture
def made(tiny_bundle: Path, tmp_path: Path, static: Path) -> Published:
    return publish([tiny_bundle], tmp_path / "site", as_is=True, static=static)


def listed(site: Path) -> dict[str, dict[str, object]]:
    """The files that the service worker knows."""
    line = (site / "sw.js").read_text(encoding="utf-8").partition("\n")[0]
    value = json.loads(line.removeprefix("self.SIGHTLINE_SITE = ").removesuffix(";"))
    return dict(value["files"])


def is_whole(site: Path) -> bool:
    files = listed(site)
    return all(
        hashlib.sha256((site / path).read_bytes()).hexdigest() == file["sha256"]
        for path, file in files.items()
    ) and all((site / path).exists() for path in json.loads((site / MARKER).read_text())["files"])


def test_the_folder_holds_the_page_and_nothing_of_the_server(made: Published) -> None:
    site = made.out
    assert is_whole(site)
    assert {path.name for path in site.iterdir()} >= {
        "index.html", "sw.js", "manifest.webmanifest", "model-card.html", "licenses.txt",
        ".nojekyll", "_headers", "assets", "models", "icons",
    }  # fmt: skip
    assert not (site / "prove").exists() and not (site / "docs").exists()
    assert not [path for path in site.glob("assets/*") if path.match("*frametap*")]
    assert not [path for path in site.glob("assets/*") if path.match("*jpegworker*")]
    (model,) = (site / "models").iterdir()
    assert {path.name.partition(".")[0] for path in model.iterdir()} == {"manifest", "model"}
    verify_files(model, read_manifest(model))
    assert made.bytes == sum(path.stat().st_size for path in site.rglob("*") if path.is_file())


def test_every_address_is_relative_and_leads_somewhere(made: Published) -> None:
    site = made.out
    page = (site / "index.html").read_text(encoding="utf-8")
    head = page.partition("</head>")[0]
    addresses = re.findall(r'(?:href|src|data-page)="([^"#]+)"', page)
    assert len(addresses) > 6
    for address in addresses:
        assert not re.match(r"/|\w+:", address), address
        assert (site / address).exists(), address
    assert "'unsafe-eval'" not in head and "script-src 'self' 'wasm-unsafe-eval';" in head
    assert not re.search(r"<script(?![^>]* src=)", page), "nothing inline"
    (catalogue,) = site.glob("catalogue-*.json")
    (model,) = json.loads(catalogue.read_text())["models"]
    assert model["detects"] is False
    assert all((site / address).is_file() for address in model["files"].values())
    web = json.loads((site / "manifest.webmanifest").read_text(encoding="utf-8"))
    for icon in web["icons"]:
        assert (site / icon["src"]).is_file()
        if icon["type"] == "image/png":
            with Image.open(site / icon["src"]) as drawn:
                assert icon["sizes"] == f"{drawn.width}x{drawn.height}"


def test_copies_are_of_the_same_content_and_smaller(made: Published) -> None:
    wasm = next(made.out.glob("assets/*.wasm"))
    content = wasm.read_bytes()
    assert gzip.decompress(wasm.with_name(f"{wasm.name}.gz").read_bytes()) == content
    assert brotli.decompress(wasm.with_name(f"{wasm.name}.br").read_bytes()) == content
    for path in made.out.rglob("*.br"):
        assert path.stat().st_size < path.with_suffix("").stat().st_size
    first = made.first_detection
    assert first.brotli < first.gzip < first.raw


def test_what_does_not_shrink_has_no_copy(tmp_path: Path) -> None:
    noise = tmp_path / "noise.bin"
    noise.write_bytes(hashlib.shake_256(b"noise").digest(50_000))
    assert compress(noise) == {}
    assert list(tmp_path.iterdir()) == [noise]


def test_publishing_the_same_again_gives_the_same_version(
    made: Published, tiny_bundle: Path, tmp_path: Path, static: Path
) -> None:
    again = publish([tiny_bundle], tmp_path / "again", as_is=True, static=static)
    assert again.version == made.version
    write_manifest(tiny_bundle, replace(read_manifest(tiny_bundle), score_threshold=0.6))
    assert (
        publish([tiny_bundle], tmp_path / "again", as_is=True, static=static).version
        != made.version
    )


def test_the_card_tells_of_the_model(tiny_bundle: Path, tmp_path: Path, static: Path) -> None:
    told = replace(
        read_manifest(tiny_bundle),
        labels=("a <b>", "lower"),
        metrics={"val": {"AP": 0.5, "images": 7, "data_set": "sha256:fingerprint"}},
        base={"name": "deimv2-atto", "license": "Apache-2.0"},
        unproven="nobody looked",
    )
    write_manifest(tiny_bundle, told)
    card = (
        publish([tiny_bundle], tmp_path / "site", as_is=True, static=static).out / "model-card.html"
    ).read_text()
    for text in (
        "a &lt;b&gt;",
        "50.0 %",
        "sha256:fingerprint",
        "Apache-2.0",
        "Unproven: nobody",
        "stretched",
    ):
        assert text in card
    assert "<script" not in card


def test_a_model_is_named_once(tiny_bundle: Path, tmp_path: Path, static: Path) -> None:
    with pytest.raises(PublishError, match="given twice"):
        publish([tiny_bundle, tiny_bundle], tmp_path / "site", as_is=True, static=static)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"batch": 4}, "takes 4 images at once"), ({"resize": "in-graph"}, "does not run")],
)
def test_what_no_page_runs_is_refused(
    tiny_bundle: Path,
    tmp_path: Path,
    static: Path,
    change: dict[str, int | str],
    message: str,
) -> None:
    write_manifest(tiny_bundle, replace(read_manifest(tiny_bundle), **change))
    with pytest.raises(UsageError, match=message):
        publish([tiny_bundle], tmp_path / "site", as_is=True, static=static)


def test_a_page_that_is_not_built_is_told(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="make web"):
        publish([tiny_bundle], tmp_path / "site", static=tmp_path)
    with pytest.raises(PublishError, match="is not as this version builds it"):
        derive_page("<html></html>", title="a", start="b", catalogue="c")


def test_what_somebody_else_put_there_is_never_deleted(
    made: Published, tiny_bundle: Path, tmp_path: Path, static: Path
) -> None:
    def refused(out: Path, message: str) -> None:
        with pytest.raises(PublishError, match=message):
            publish([tiny_bundle], out, as_is=True, static=static)

    (made.out / "CNAME").write_text("example.test")
    refused(made.out, "holds CNAME, which sightline publish did not write")
    (made.out / "CNAME").unlink()
    publish([tiny_bundle], made.out, as_is=True, static=static)  # one of ours
    other = tmp_path / "other"
    (other / "photos").mkdir(parents=True)
    publish([tiny_bundle], other / "photos", as_is=True, static=static)  # empty
    refused(other, "holds photos/")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "is a file")
    refused(tmp_path / "file" / "below", "cannot be made|is a file|Not a directory")
    assert (other / "photos" / "index.html").is_file()


def test_an_error_leaves_the_former_folder(made: Published, tmp_path: Path) -> None:
    before = sorted(made.out.rglob("*"))
    with pytest.raises(KeyError), staged_site(made.out) as building:
        (building / "index.html").write_text("half")
        raise KeyError
    assert sorted(made.out.rglob("*")) == before
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(
    made: Published, tiny_bundle: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from sightline.workflow.publish.site import publish;"
        "print('begun', flush=True);"
        "publish([sys.argv[1]], sys.argv[2], as_is=True)"
    )
    command = [sys.executable, "-c", code, str(tiny_bundle), str(made.out)]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took_s = time.monotonic() - began
    for part in (0.3, 0.5, 0.7, 0.85, 0.95, 1.0):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
            began = time.monotonic()
            while running.poll() is None and time.monotonic() - began < part * took_s:
                time.sleep(0.01)
            running.send_signal(signal.SIGKILL)
        assert is_whole(made.out)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert list(tmp_path.glob(".site.*")) == [], "what the killed ones left is gone"


def test_folders_are_swapped_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never is there a moment without the folder, where the system can swap two."""
    from sightline.workflow.publish import folder

    out = tmp_path / "site"
    for content in ("old", "new"):
        with staged_site(out) as building:
            (building / "index.html").write_text(content)
            write_marker(building, {})
    assert (out / "index.html").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    monkeypatch.setattr(folder, "_exchange", lambda one, other: False)
    with staged_site(out) as building:
        (building / "index.html").write_text("newer")
        write_marker(building, {})
    assert (out / "index.html").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_icons_have_their_size_and_maskable_ones_their_margin() -> None:
    plain = Image.open(BytesIO(draw_icon(192)))
    assert plain.size == (192, 192) and plain.getpixel((0, 0))[3] == 0
    maskable = Image.open(BytesIO(draw_icon(512, is_maskable=True)))
    ground = maskable.getpixel((0, 0))
    assert ground[3] == 255
    # https://www.w3.org/TR/appmanifest/#icon-masks: a circle of 40 % of the side is always seen
    drawn = [
        (x, y)
        for x in range(0, 512, 4)
        for y in range(0, 512, 4)
        if maskable.getpixel((x, y)) != ground
    ]
    assert drawn and max(((x - 256) ** 2 + (y - 256) ** 2) ** 0.5 for x, y in drawn) <= 0.4 * 512


def test_only_what_runs_on_the_cpu_is_kept_for_everybody(made: Published) -> None:
    """WebGPU's runtime is there for those who choose it; what no ONNX model needs is not."""
    files = listed(made.out)
    optional = {path for path, file in files.items() if file["optional"]}
    assert any("jspi" in path and path.endswith(".wasm") for path in optional)
    kept = files.keys() - optional
    assert len([path for path in kept if path.endswith(".wasm")]) == 1
    assert {"index.html", "model-card.html"} <= kept
    assert not any("tfjs" in path for path in files)


def test_the_sample_clip_is_one_that_browsers_play(
    tiny_bundle: Path, tmp_path: Path, static: Path
) -> None:
    with pytest.raises(PublishError, match="no such file"):
        publish([tiny_bundle], tmp_path / "site", sample_clip=tmp_path / "none.mp4")
    (tmp_path / "clip.avi").touch()
    with pytest.raises(UsageError, match="what browsers play"):
        publish([tiny_bundle], tmp_path / "site", sample_clip=tmp_path / "clip.avi")


@pytest.mark.slow
def test_weights_are_halved_and_proven_where_they_can_be(
    atto_bundle: Path,
    tmp_path: Path,
    static: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGHTLINE_BROWSER", "/nowhere/chromium")  # it is proven natively too
    made = publish([atto_bundle], tmp_path / "site", static=static)
    (model,) = (made.out / "models").iterdir()
    manifest = read_manifest(model)
    assert manifest.target == "onnx-fp16" and manifest.parity and manifest.unproven is None
    assert made.choices["deimv2-atto"] == "16-bit weights, proven in onnxruntime"
    assert (model / GRAPH_NAME).stat().st_size < 0.6 * (atto_bundle / GRAPH_NAME).stat().st_size
    bare = tmp_path / "bare"
    shutil.copytree(atto_bundle, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    assert (
        "no weights.safetensors"
        in publish([bare], tmp_path / "two", static=static).choices["deimv2-atto"]
    )


def test_the_service_worker_is_a_classic_script(static: Path) -> None:
    worker = (static / "publish" / "worker.js").read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|export)\b", worker, re.MULTILINE)
