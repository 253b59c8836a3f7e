"""The npm package, as packed: its folder on a plain file server is all that a page needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser
from tests.browser.conftest import PATIENCE_S, REPO

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="module">
  import { loadRuntime } from "./site/sightline/package.js";
  const { createDetector } = await loadRuntime("./site/sightline/");
  const detector = await createDetector({ model: "./site/model" });
  const photo = await (await fetch("./photo.jpg")).blob();
  const result = await detector.detect(await createImageBitmap(photo));
  document.title = JSON.stringify([detector.backend.threads, result.detections.length]);
</script>"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The unpacked package."""
    npm = [sys.executable, str(REPO / "hatch_build.py"), "npm"]
    subprocess.run([*npm, "run", "package"], check=True)
    packed = ["pack", str(REPO / "build" / "npm"), "--pack-destination", str(tmp_path)]
    subprocess.run([*npm, *packed], check=True)
    (tarball,) = tmp_path.glob("*.tgz")
    with tarfile.open(tarball) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "package"


def test_its_folder_is_all_that_a_page_needs(
    package: Path, atto_bundle: Path, browser: Browser, shared: Path, tmp_path: Path
) -> None:
    described = json.loads((package / "package.json").read_text())
    assert described["name"] == "@sightline/web"
    for entry in described["exports"]["."].values():
        assert (package / entry).is_file()
    assert {"sightline.js", "sightline-video.js"} <= {path.name for path in package.iterdir()}
    assert {"LICENSE", "NOTICE", "licenses.txt"} <= {path.name for path in package.iterdir()}

    root = tmp_path / "root"
    (root / "site").mkdir(parents=True)
    shutil.move(package, root / "site" / "sightline")
    shutil.copytree(atto_bundle, root / "site" / "model")
    shutil.copy(shared / "data" / "broken" / "01_ok.jpg", root / "photo.jpg")
    (root / "index.html").write_text(PAGE)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    try:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.wait_for_function("document.title !== ''", timeout=PATIENCE_S * 1000)
        threads, count = json.loads(page.title())
        assert threads == 1  # such a server isolates no page
        assert count > 0
        assert not errors
    finally:
        page.close()
        server.shutdown()
        server.server_close()
