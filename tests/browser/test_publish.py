"""A published folder in a browser: any path, no headers, no network, updates, no reload loops."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import BrowserContext, Error

from sightline.cli.main import main
from sightline.errors import PublishError
from sightline.manifest import GRAPH_NAME, read_manifest, write_manifest
from sightline.workflow.publish.plain_server import PlainServer
from sightline.workflow.publish.site import publish

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from tests.browser.conftest import LivePage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEPT = (
    "(async () => { const names = (await caches.keys()).filter((n) => n.startsWith('sightline '));"
    " return (await Promise.all(names.map(async (n) => (await (await caches.open(n)).keys())"
    ".length))).join(); })()"
)


@pytest.fixture(scope="module")
def bundle(atto_bundle: Path, built_page: None) -> Path:
    return atto_bundle


@pytest.fixture(scope="module")
def site(bundle: Path, tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    """The first version: the COCO model as it is, with a sample clip."""
    out = tmp_path_factory.mktemp("published") / "site"
    clip = shared / "data" / "video" / "bottle_8s_640x360.webm"
    publish([bundle], out, as_is=True, sample_clip=clip)
    return out


@pytest.fixture(scope="module")
def second(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later version: the model has another name."""
    folder = tmp_path_factory.mktemp("later")
    shutil.copytree(bundle, folder / "renamed")
    write_manifest(folder / "renamed", replace(read_manifest(bundle), name="renamed"))
    publish([folder / "renamed"], folder / "site", as_is=True)
    return folder / "site"


@pytest.fixture
def server(site: Path) -> Iterator[PlainServer]:
    running = PlainServer(site)
    yield running
    running.close()


@pytest.fixture
def visit(server: PlainServer, browser: Browser) -> Iterator[Callable[..., LivePage]]:
    """Open the site in a browser that has never been there, or in the same again."""
    context = browser.new_context()

    def open_page(query: str = "") -> LivePage:
        return opened(context, server.url, query)

    yield open_page
    context.close()


def opened(context: BrowserContext, url: str, query: str = "") -> LivePage:
    """The site in a new page that has begun: on a first visit it is loaded twice before."""
    from tests.browser.conftest import LivePage

    page = LivePage(context.new_page(), url).open(query)
    until_begun(page)
    return page


def until_begun(page: LivePage) -> None:
    for _ in range(600):
        try:
            if page.page.evaluate("window.sightline !== undefined"):
                return
        except Error:  # the page is being loaded once more
            pass
        page.page.wait_for_timeout(100)
    raise AssertionError("the page does not begin")


def files_to_keep(site: Path) -> int:
    return (site / "sw.js").read_text(encoding="utf-8").count('"optional": false')


def until_kept(page: LivePage, site: Path) -> None:
    """Wait until everything that sw.js lists is there without a network."""
    count = files_to_keep(site)
    for _ in range(300):
        if page.page.evaluate(KEPT) == str(count):
            return
        page.page.wait_for_timeout(100)
    raise AssertionError(f"{page.page.evaluate(KEPT)} of {count} files are kept")


def test_it_detects_from_a_plain_server_below_a_path_and_then_without(
    visit: Callable[..., LivePage], server: PlainServer, site: Path, shared: Path
) -> None:
    photo = shared / "data" / "coco_val100" / "images" / "000000000139.jpg"
    page = visit().until_ready()
    page.choose_file(photo)
    found = page.until_found()
    assert page.page.evaluate("crossOriginIsolated")
    assert server.requested.count("index.html") == 2, "loaded once more, and once only"
    assert not page.page.is_visible("#place-card"), "there is no server to detect on"
    assert all(url.startswith((server.url, "blob:", "data:")) for url in page.requested)
    assert page.errors == []
    until_kept(page, site)

    server.close()
    again = visit("?source=sample").until_ready()
    again.until_found()
    assert again.page.evaluate("window.sightline.stats.source") == "sample"
    again.choose_file(photo)
    again.until("window.sightline.stats.source === 'photo' && window.sightline.lastResult !== null")
    assert again.detections() == found


def test_a_plain_server_sends_the_large_files_compressed(
    visit: Callable[..., LivePage], server: PlainServer
) -> None:
    visit().until_ready()
    (runtime,) = {path for path in server.requested if path.endswith(".wasm.gz")}
    # Asked once whether the host compresses it (HEAD); the file itself was never sent.
    assert server.requested.count(runtime.removesuffix(".gz")) == 1


def test_a_session_that_was_reloaded_once_is_not_again(
    visit: Callable[..., LivePage], server: PlainServer, site: Path
) -> None:
    page = visit().until_ready()
    assert page.page.evaluate("crossOriginIsolated")
    # The service worker goes, as a browser may end one: the next load is not isolated.
    page.page.evaluate(
        "navigator.serviceWorker.getRegistration().then((found) => found.unregister())"
    )
    page.page.goto("about:blank")
    loaded: list[str] = []  # not as the server sees it: a host's old file may come from the cache
    page.page.on("framenavigated", lambda frame: loaded.append(frame.url))
    page.open()
    until_begun(page)
    page.until_ready()
    assert not page.page.evaluate("crossOriginIsolated")
    assert page.page.evaluate("window.sightline.stats.threads") == 1
    assert loaded == [server.url]


def test_a_hard_reload_goes_round_the_service_worker_without_a_loop(
    visit: Callable[..., LivePage], server: PlainServer
) -> None:
    page = visit().until_ready()
    page.page.evaluate("sessionStorage.clear()")  # as if it had been isolated in another session
    loaded = server.requested.count("index.html")
    session = page.page.context.new_cdp_session(page.page)
    session.send("Page.reload", {"ignoreCache": True})
    until_begun(page)
    page.until_ready()
    assert not page.page.evaluate("crossOriginIsolated")
    assert server.requested.count("index.html") == loaded + 1
    page.page.reload()
    page.until_ready()
    assert page.page.evaluate("crossOriginIsolated"), "an ordinary reload goes through it again"


def test_it_works_where_there_can_be_no_service_worker(
    browser: Browser, server: PlainServer
) -> None:
    context = browser.new_context(service_workers="block")
    page = opened(context, server.url).until_ready()
    assert not page.page.evaluate("crossOriginIsolated")
    assert server.requested.count("index.html") == 1
    context.close()


def test_a_new_version_is_taken_whole_on_the_next_visit(
    visit: Callable[..., LivePage], server: PlainServer, site: Path, second: Path
) -> None:
    first = visit().until_ready()
    until_kept(first, site)
    server.show(second)
    asked = len(server.requested)
    # The next visit still begins with the version that is there, and fetches the new one.
    between = visit().until_ready()
    assert between.page.evaluate("window.sightline.stats.model") == "deimv2-atto"
    waiting = "navigator.serviceWorker.getRegistration().then((found) => found.waiting !== null)"
    between.until(waiting)
    assert not any(".wasm" in path for path in server.requested[asked:]), "what it has it keeps"
    # With another page open it does not take over; alone, a reload is enough.
    between.page.reload()
    between.until_ready()
    assert between.page.evaluate("window.sightline.stats.model") == "deimv2-atto"
    between.page.close()
    first.page.reload()
    until_begun(first)
    first.until("window.sightline.stats.model === 'renamed'")
    first.until_ready()
    server.close()
    kept = [name for name in first.page.evaluate("caches.keys()") if name.startswith("sightline ")]
    assert len(kept) == 1, "the former version's files are gone"
    first.page.reload()
    first.until_ready()
    assert first.page.evaluate("window.sightline.stats.model") == "renamed"


def test_half_an_update_is_never_used(
    visit: Callable[..., LivePage],
    server: PlainServer,
    site: Path,
    second: Path,
    tmp_path: Path,
) -> None:
    until_kept(visit().until_ready(), site)
    half = tmp_path / "half"
    shutil.copytree(second, half)
    (graph,) = half.glob(f"models/*/{GRAPH_NAME}")
    graph.with_name(f"{GRAPH_NAME}.gz").unlink(missing_ok=True)
    graph.write_bytes(graph.read_bytes()[:-100])
    server.show(half)
    page = visit().until_ready()
    name = graph.relative_to(half).as_posix()
    for _ in range(300):
        if name in server.requested:
            break
        page.page.wait_for_timeout(100)
    page.until("navigator.serviceWorker.getRegistration().then((found) => !found.installing)")
    assert page.page.evaluate(
        "navigator.serviceWorker.getRegistration().then((found) => found.waiting === null)"
    )
    page.page.reload()
    page.until_ready()
    assert page.page.evaluate("window.sightline.stats.model") == "deimv2-atto"


def test_the_check_passes_and_tells_what_was_fetched(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = publish([bundle], tmp_path / "site", as_is=True, check=True)
    assert made.check is not None and made.check.matched > 0
    assert made.check.isolated and made.check.offline
    assert any(path.endswith(".wasm") for path in made.check.requested)
    assert made.first_detection.brotli < made.first_detection.gzip < made.first_detection.raw
    # The limit that the format of the weights and the runtime's size were chosen for.
    assert made.first_detection.brotli <= 4_500_000


@pytest.mark.parametrize(
    ("damage", "message"),
    [("graph", "published model cannot be used"), ("runtime", "the page says"), ("card", "kept")],
)
def test_the_check_fails_on_a_damaged_folder(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, message: str
) -> None:
    from sightline.workflow.publish import check
    from sightline.workflow.publish.check import check_site

    monkeypatch.setattr(check, "_PATIENCE_S", 30.0)
    broken = tmp_path / "site"
    shutil.copytree(site, broken)
    (model,) = broken.glob("models/*")
    (runtime,) = broken.glob("assets/ort-wasm-simd-threaded-*.wasm")
    damaged = {"graph": model / GRAPH_NAME, "runtime": runtime, "card": broken / "model-card.html"}
    for path in (damaged[damage], damaged[damage].with_name(damaged[damage].name + ".gz")):
        if path.exists():
            path.write_bytes(b"x" + path.read_bytes()[1:])
    count = files_to_keep(broken)
    with pytest.raises(PublishError, match=message):
        check_site(broken, model, count, lambda line: None)


def test_what_fails_its_check_is_not_published(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SIGHTLINE_BROWSER", "/nowhere/chromium")
    out = tmp_path / "site"
    assert main(["publish", str(bundle), str(out), "--as-is", "--check"]) == 1
    assert "/nowhere/chromium" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_examples_server_is_enough(site: Path, browser: Browser, tmp_path: Path) -> None:
    """As docs/publishing.md says: Python's own file server."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--directory", str(site)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as serving:
        try:
            assert serving.stdout is not None
            port = serving.stdout.readline().split()[5].decode()
            context = browser.new_context()
            page = opened(context, f"http://127.0.0.1:{port}/").until_ready()
            assert page.page.evaluate("crossOriginIsolated")
            context.close()
        finally:
            serving.terminate()
