"""The official weights of a zoo model: found locally, or downloaded, resumed and verified.

Standard library and NumPy only. Nothing is trusted because of where it came from: a file counts
when its tensors are the network's by name and shape, its numbers are finite, and its sha256 is
the one recorded when it was first pulled.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from sightline.errors import BundleDamaged, WeightsUnavailable
from sightline.manifest import sha256_of
from sightline.models.safetensors_header import read_header
from sightline.zoo import ZooModel, cache_dir, weights_path, zoo_model

Progress = Callable[[int, int | None], None]
"""Called with the bytes on disk and, where the server told, the bytes in all."""

_TIMEOUT_S = 30.0  # of one read, not of the download
_ATTEMPTS = 4
_PAUSE_S = 0.5  # before the second attempt; doubles
_LIMIT_BYTES = 256 * 1024 * 1024  # the largest zoo file has 15 MB: more is not what was asked for
_CHUNK_BYTES = 128 * 1024

# Size -> tensors, and sha256 over the sorted lines "NAME d0,d1,..." of the official state dict
# (80 classes, the size's default input; DEIMv2 repository).
_LAYOUTS = {
    "atto": (493, "6264f28f1687d0ddcfa4607769c96d70d3708b1329161c52477a7079658fd072"),
    "femto": (493, "7762a6c006960f5571e8c977732449981430529921af9956e8e2d882425b6feb"),
    "pico": (551, "27b3e21f78645cb37c45d1b9c76fbf977be6cf906bffe35683780ce831612e3b"),
    "n": (639, "96dc3c33b83bd1b30d2955233c12aca376f840ebbd9637bc8e9774ab04496c7d"),
}


def pull_weights(name: str, progress: Progress | None = None, *, url: str | None = None) -> Path:
    """The path of a zoo model's weights, downloaded from `url` (official) if not here yet.

    A file in SIGHTLINE_MODELS is used as it is, without network. A broken download is kept and
    resumed by the next call. Raises ModelNotFound for an unknown name, BundleDamaged for a file
    in SIGHTLINE_MODELS that is not the model's, WeightsUnavailable when the weights are neither
    here nor to be had.
    """
    model = zoo_model(name)
    target = weights_path(name)
    if model.repository is None:
        if not target.is_file():
            raise WeightsUnavailable(
                f"{name} ships inside the package, but {target} is missing; reinstall sightline"
            )
        return target
    if target != _cached_path(name):
        check_weights(target, model.size)
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsUnavailable(
            f"{target.parent} cannot be made ({error.strerror}); set SIGHTLINE_CACHE to a folder "
            "that can be written to"
        ) from error
    with _exclusive(target.with_suffix(".lock")):
        if not _is_intact(target, model):
            _download(model, url or model.url or "", target, progress or (lambda done, total: None))
    return target


def check_weights(path: Path, size: str) -> None:
    """Compare a file's tensors with those of the official network of that size.

    Types may differ (reg_scale is stored as int64 or float32, half precision is fine); tied
    tensors may be stored once. Raises BundleDamaged naming what is wrong.
    """
    header = read_header(path)
    lines = sorted(f"{key} {','.join(map(str, shape))}" for key, shape in header.shapes().items())
    count, digest = _LAYOUTS[size]
    if len(lines) != count or sha256("\n".join(lines).encode()).hexdigest() != digest:
        raise BundleDamaged(
            f"{path} holds {len(lines)} tensors, and not by name and shape the {count} of "
            f"deimv2-{size} with its 80 classes: it is another model's file"
        )
    if bad := header.not_finite():
        raise BundleDamaged(f"{path} holds NaN or infinity in {len(bad)} tensors, first {bad[0]}")


def _cached_path(name: str) -> Path:
    return cache_dir() / "weights" / f"{name}.safetensors"


@dataclass(frozen=True)
class _Part:
    """The beginning of a file, and the strong ETag it belongs to (None: not resumable)."""

    path: Path
    etag_path: Path

    @property
    def etag(self) -> str | None:
        try:
            return self.etag_path.read_text(encoding="ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.etag_path.unlink(missing_ok=True)


def _is_intact(target: Path, model: ZooModel) -> bool:
    """Whether the cached file is there and as it was pulled; one put there by hand is recorded."""
    if not target.is_file():
        return False
    recorded = _recorded_sha256(target)
    if recorded is not None:
        return sha256_of(target) == recorded
    check_weights(target, model.size)
    _record(target, sha256_of(target), target.stat().st_size, None)
    return True


def _recorded_sha256(target: Path) -> str | None:
    try:
        value = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
        return str(value["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _record(target: Path, digest: str, size: int, url: str | None) -> None:
    record = target.with_suffix(".json")
    temporary = record.with_suffix(".json.tmp")
    value = {"url": url, "size": size, "sha256": digest}
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, record)


def _download(model: ZooModel, url: str, target: Path, progress: Progress) -> None:
    part = _Part(target.with_suffix(".part"), target.with_suffix(".part.etag"))
    try:
        _fetch_all(url, part, progress)
    except (OSError, http.client.HTTPException) as error:
        is_answer = isinstance(error, urllib.error.HTTPError)
        reason = error if is_answer else getattr(error, "reason", None) or error
        raise _unavailable(model, url, str(reason)) from error
    try:
        check_weights(part.path, model.size)
    except BundleDamaged as error:
        begin = part.path.read_bytes()[:64].lstrip().lower()
        part.discard()
        page = begin.startswith((b"<!doctype", b"<html", b"<?xml"))
        problem = "a web page came instead (a sign-in or proxy page?)" if page else str(error)
        raise _unavailable(model, url, problem) from error
    digest, size = sha256_of(part.path), part.size
    recorded = _recorded_sha256(target)
    if recorded is not None and recorded != digest:
        part.discard()
        raise WeightsUnavailable(
            f"the weights of {model.name} at {url} are not those first pulled: sha256 {digest}, "
            f"recorded {recorded}. If the new ones are wanted, delete {target.with_suffix('.json')}"
        )
    _record(target, digest, size, url)  # first: a file without record would be taken on trust
    os.replace(part.path, target)
    part.discard()


def _fetch_all(url: str, part: _Part, progress: Progress) -> None:
    """Fetch until the whole file is in `part`; a cut connection is resumed a few times."""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_S * 2 ** (attempt - 1))
        before = part.size
        try:
            if _fetch_once(url, part, progress):
                return
            problem: Exception = ConnectionError("the connection ended before the whole file came")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # what lies here is no beginning of what lies there
                part.discard()
            elif error.code < 500 and error.code not in (408, 429):
                raise
            problem = error
        except urllib.error.URLError as error:
            certain = isinstance(error.reason, ssl.SSLCertVerificationError | _Refused)
            if certain or part.size == before == 0:
                raise  # no name, no route, no trust: another attempt will not help
            problem = error
        except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
            problem = error
    raise problem


def _fetch_once(url: str, part: _Part, progress: Progress) -> bool:
    """Append what one request brings to `part`; True when the file is whole."""
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked by the opener
        url, headers={"User-Agent": f"sightline/{version('sightline')}", "Accept": "*/*"}
    )
    etag = part.etag
    if part.size and etag is not None:
        request.add_header("Range", f"bytes={part.size}-")
        request.add_header("If-Range", etag)  # RFC 9110 13.1.5: all of it if it has changed
    with _opener(url).open(request, timeout=_TIMEOUT_S) as response:
        start, total = _extent(response, part.size)
        if total is not None and total > _LIMIT_BYTES:
            raise urllib.error.URLError(f"the file has {total} bytes, far more than expected")
        if start == 0:
            found = response.headers.get("ETag", "")
            strong = found if re.fullmatch(r'"[\x21\x23-\x7e]*"', found) else ""
            part.etag_path.write_text(strong, encoding="ascii")
        with part.path.open("r+b" if start else "wb") as stream:
            done = _copy(response, stream, start, total, progress)
    return done == total if total is not None else True


def _extent(response: Any, have: int) -> tuple[int, int | None]:
    """(offset of the first byte sent, size of the whole file or None)."""
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            raise urllib.error.URLError("the server answered another range than asked for")
        return have, int(found[2])
    length = response.headers.get("Content-Length")
    return 0, int(length) if length is not None else None


def _copy(
    response: Any, stream: IO[bytes], start: int, total: int | None, progress: Progress
) -> int:
    """Bytes of the file on disk after writing the body at `start`."""
    stream.seek(start)
    stream.truncate()
    done = start
    progress(done, total)
    while block := response.read(_CHUNK_BYTES):
        stream.write(block)
        done += len(block)
        if done > _LIMIT_BYTES:
            raise urllib.error.URLError("the file is far larger than expected")
        progress(done, total)
    return done


class _Refused(Exception):
    """An address that is neither https nor this machine."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url} is not https")


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Follows redirects within https, through the proxies of the environment."""
    _check_scheme(url)
    return urllib.request.build_opener(_SecureRedirects)


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        return
    raise urllib.error.URLError(_Refused(url))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unavailable(model: ZooModel, url: str, problem: str) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"the weights of {model.name} could not be downloaded: {problem}. Try again (a broken "
        f"download is resumed), or fetch {url} by other means and put it at "
        f"{_cached_path(model.name)}, or into a folder named by SIGHTLINE_MODELS as "
        f"{model.name}.safetensors"
    )


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file: two pulls of one model at a time would write into one part."""
    with path.open("a+b") as stream:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)
            try:
                yield
            finally:
                stream.seek(0)
                msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
            yield
