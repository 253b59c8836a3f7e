"""This installation: what is here, what is missing, and the line that brings it. Takes a second."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path

from sightline.errors import MissingBrowser
from sightline.runtime.chromium import find_browser
from sightline.runtime.engine import PROVIDERS
from sightline.runtime.engines.onnx import available_cores, forbid_telemetry
from sightline.server.config import ServeConfig
from sightline.server.pages import STATIC_DIR
from sightline.workflow.doctor.leg import FAILED, MISSING, OK, SKIPPED, Leg, Report
from sightline.zoo import DEFAULT_MODEL, ZOO, bundle_dir, cache_dir, weights_path

# Modules that other builds of a package bring as well: onnxruntime-gpu, opencv-python.
_OTHER_BUILDS = {"onnxruntime": "onnxruntime", "opencv-python-headless": "cv2"}
_NEEDED_FOR = {
    "train": "training, and making the models that have a name",
    "tensorflow": "exports to SavedModel, TensorFlow.js and LiteRT",
    "browser": "proving exports in a browser",
    "webrtc": "WebRTC streams and cameras on the server",
}
_NVIDIA_S = 5


def examine_installation(report: Report) -> None:
    """Report every leg of this machine."""
    report(_python())
    report(_packages())
    for extra in metadata("sightline").get_all("Provides-Extra") or []:
        report(_extra(extra))
    report(_browser())
    report(_onnx_runtime())
    report(_gpu())
    report(_machine())
    report(_cache())
    report(_models())
    report(_page())
    report(_addresses())
    report(_port(ServeConfig().port))


def _python() -> Leg:
    name, here = platform.python_implementation(), f"{platform.system()} {platform.machine()}"
    return Leg("Python", OK, f"{name} {platform.python_version()} on {here}: {sys.executable}")


def _packages() -> Leg:
    missing = _missing(_requirements(None))
    here = f"{version('sightline')} in {Path(__file__).parents[2]}"
    if not missing:
        return Leg("Sightline", OK, here)
    # An image or a small machine may do without video files; nothing starts without the others.
    state = MISSING if missing == ["opencv-python-headless"] else FAILED
    what = "only video files and camera numbers need it" if state == MISSING else "it needs all"
    todo = f"pip install {' '.join(missing)} ({what})"
    return Leg("Sightline", state, f"{here}, without {', '.join(missing)}", todo)


def _extra(extra: str) -> Leg:
    names = _requirements(extra)
    missing = _missing(names)
    if missing:
        todo = f"pip install 'sightline[{extra}]'"
        if extra in _NEEDED_FOR:
            todo += f" ({_NEEDED_FOR[extra]})"
        return Leg(f"[{extra}]", MISSING, f"without {', '.join(missing)}", todo)
    return Leg(f"[{extra}]", OK, ", ".join(f"{name} {version(name)}" for name in names))


def _requirements(extra: str | None) -> list[str]:
    """The packages that Sightline's own metadata names for an extra, or for the base."""
    found = []
    for line in requires("sightline") or []:
        marker = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        name = re.match(r"[\w.-]+", line)
        if name is not None and (marker[1] if marker else None) == extra:
            found.append(name[0])
    return found


def _missing(names: list[str]) -> list[str]:
    missing = []
    for name in names:
        try:
            version(name)
        except PackageNotFoundError:
            module = _OTHER_BUILDS.get(name)
            if module is None or find_spec(module) is None:
                missing.append(name)
    return missing


def _browser() -> Leg:
    try:
        return Leg("browser", OK, str(find_browser()))
    except MissingBrowser as error:
        seen, _, todo = str(error).partition("; ")
        return Leg("browser", MISSING, seen, todo)


def _onnx_runtime() -> Leg:
    forbid_telemetry()
    try:
        import onnxruntime
    except ImportError as error:
        return Leg(
            "ONNX Runtime", FAILED, f"cannot be imported: {error}", "pip install onnxruntime"
        )
    devices = ", ".join(_devices(onnxruntime.get_available_providers()))
    return Leg("ONNX Runtime", OK, f"{onnxruntime.__version__}, computes on {devices}")


def _devices(providers: list[str]) -> list[str]:
    return [name for name, provider in PROVIDERS.items() if provider in providers]


def _gpu() -> Leg:
    """NVIDIA's GPUs, by NVIDIA's own program; importing torch to ask it would take seconds."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Leg("GPU", SKIPPED, "no NVIDIA driver here (no nvidia-smi); the CPU computes")
    command = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        shown = subprocess.run(  # noqa: S603 - a program of the driver's, with fixed arguments
            command, capture_output=True, text=True, timeout=_NVIDIA_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Leg("GPU", FAILED, f"{program}: {error}", "check NVIDIA's driver")
    if shown.returncode != 0 or not shown.stdout.strip():
        said = (shown.stderr or shown.stdout).strip().splitlines() or ["it shows no GPU"]
        return Leg("GPU", FAILED, f"nvidia-smi: {said[0]}", "check NVIDIA's driver")
    seen = "; ".join(line.strip() for line in shown.stdout.splitlines())
    wanting = []
    if not _computes_on_cuda():
        wanting.append("serving: pip uninstall onnxruntime, then pip install onnxruntime-gpu")
    if find_spec("torch") is not None and _torch_cuda() is None:
        wanting.append("training: this torch is built for the CPU; see https://pytorch.org")
    if wanting:
        return Leg("GPU", MISSING, f"{seen}; not used by all", "; ".join(wanting))
    torch = f"; torch for CUDA {_torch_cuda()}" if _torch_cuda() else ""
    return Leg("GPU", OK, seen + torch)


def _computes_on_cuda() -> bool:
    if find_spec("onnxruntime") is None:
        return False
    import onnxruntime

    return PROVIDERS["cuda"] in onnxruntime.get_available_providers()


def _torch_cuda() -> str | None:
    """The CUDA that torch was built for, read in its version.py; None: for the CPU, or no torch."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).with_name("version.py")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return found[1] if found else None


def _machine() -> Leg:
    cores = available_cores()
    seen = f"{cores} core{'s' if cores > 1 else ''} for this program"
    if memory := _memory_bytes():
        seen += f", {memory / 2**30:.1f} GiB of memory"
    return Leg("machine", OK, seen)


def _memory_bytes() -> int | None:
    """Of the machine, or of the container where that has less."""
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(names):
        return None
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else ""
    return min(total, int(text)) if text.isdigit() else total


def _cache() -> Leg:
    folder = cache_dir()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        todo = "set SIGHTLINE_CACHE to a folder that can be written (models pulled are kept there)"
        return Leg("cache", FAILED, f"{folder} cannot be written", todo)
    free = shutil.disk_usage(there).free
    return Leg("cache", OK, f"{folder}, {free / 2**30:.1f} GiB free")


def _models() -> Leg:
    bundles = [name for name in ZOO if (bundle_dir(name) / "manifest.json").is_file()]
    weights = [
        name
        for name, model in ZOO.items()
        if model.repository and name not in bundles and weights_path(name).is_file()
    ]
    if not bundles and not weights:
        return Leg("models", MISSING, "none here yet", f"sightline models pull {DEFAULT_MODEL}")
    parts = [f"ready: {', '.join(bundles)}"] if bundles else []
    parts += [f"weights: {', '.join(weights)}"] if weights else []
    return Leg("models", OK, "; ".join(parts))


def _page() -> Leg:
    if (STATIC_DIR / "index.html").is_file():
        return Leg("live page", OK, "built")
    todo = "make web (a wheel carries the page; a checkout builds it once)"
    return Leg("live page", MISSING, "not built", todo)


def _addresses() -> Leg:
    """The addresses that ICE would offer: it leaves out loopback's."""
    if find_spec("aioice") is None:
        return Leg(
            "addresses", SKIPPED, "WebRTC is not installed", "pip install 'sightline[webrtc]'"
        )
    from aioice.ice import get_host_addresses

    found = get_host_addresses(use_ipv4=True, use_ipv6=True)
    if found:
        return Leg("addresses", OK, f"for WebRTC: {', '.join(found)}")
    todo = "connect to a network: WebRTC finds no path on loopback alone, not even to this machine"
    return Leg("addresses", MISSING, "none but loopback", todo)


def _port(port: int) -> Leg:
    with socket.socket() as probe:
        if os.name == "posix":  # elsewhere it would take a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            todo = f"sightline serve --port {port + 1}, or ask who is there: sightline doctor "
            todo += f"http://127.0.0.1:{port}"
            return Leg("port", MISSING, f"{port} is not free: {error.strerror}", todo)
    return Leg("port", OK, f"{port} is free")
