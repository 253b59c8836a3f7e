"""The addresses of cameras and video files that a server plays.

An address comes from the operator; what its other end sends is not trusted: only formats that
hold one video are read, no playlist that could name files or other addresses.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sightline.data.images import MAX_PIXELS
from sightline.errors import ConfigError, MissingExtra

NAME_FORM = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_DEVICE_FORM = re.compile(r"(v4l2|dshow|avfoundation):(.+)")
_SCHEME_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_EXAMPLE = "door=rtsp://192.168.1.20/live or clip=clip.mp4"
_VIDEO_FORMATS = (
    "mpjpeg,mjpeg,jpeg_pipe,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,"
    "h264,hevc,m4v,mpegvideo,ivf"
)
_NETWORK_PROTOCOLS = {
    "rtsp": "tcp",
    "rtsps": "tls,tcp",
    "http": "http,tcp",
    "https": "https,tls,tcp",  # no way back to http: that would show the credentials
}


@dataclass(frozen=True)
class SourceSpec:
    """What --source NAME=URL names. is_file: played at its own pace, over and over.

    The address may hold a password: it is shown nowhere.
    """

    name: str
    address: str = field(repr=False)
    is_file: bool = False
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def read_sources(texts: Sequence[str]) -> tuple[SourceSpec, ...]:
    """The sources that NAME=URL texts name. Raises ConfigError, MissingExtra without PyAV."""
    if texts and importlib.util.find_spec("av") is None:
        raise MissingExtra("--source", "webrtc")
    specs: dict[str, SourceSpec] = {}
    for text in texts:
        name, equals, address = text.partition("=")
        if not (equals and address and NAME_FORM.fullmatch(name)):
            if not equals:
                wrong = "what was given has no ="
            elif not address:
                wrong = "nothing follows ="
            else:
                wrong = "what stands before = is no name, of letters, digits and . _ -"
            # What was given is not shown: an address may hold a password, and a "=" too.
            raise ConfigError(f"--source: NAME=URL is expected, such as {_EXAMPLE}; {wrong}")
        if name in specs:
            raise ConfigError(f"--source {name} is given twice: give each source a name of its own")
        specs[name] = _read_address(name, address)
    return tuple(specs.values())


def _read_address(name: str, address: str) -> SourceSpec:
    limits = {"max_pixels": str(MAX_PIXELS)}
    device = _DEVICE_FORM.fullmatch(address)
    if address.isascii() and address.isdigit() and not Path(address).exists():
        if sys.platform == "win32":
            raise ConfigError(f"--source {name}: name the camera, as dshow:video=NAME")
        is_mac = sys.platform == "darwin"
        number = ("avfoundation", address) if is_mac else ("v4l2", f"/dev/video{address}")
        return SourceSpec(name, number[1], format=number[0], options=limits)
    if device:
        return SourceSpec(name, device[2], format=device[1], options=limits)
    if address.startswith("/dev/video"):
        return SourceSpec(name, address, format="v4l2", options=limits)
    whitelist = {**limits, "format_whitelist": _VIDEO_FORMATS}
    scheme = _SCHEME_FORM.match(address)
    if scheme is None:
        path = str(Path(address).absolute())
        return SourceSpec(name, path, True, options={**whitelist, "protocol_whitelist": "file"})
    kind = scheme[1].lower()
    if kind not in _NETWORK_PROTOCOLS or not _has_host(address):
        raise ConfigError(
            f"--source {name}: rtsp://, rtsps://, http:// and https:// with a host are taken, "
            "a video file's path, a device such as /dev/video0, or a camera's number"
        )
    limits["protocol_whitelist"] = _NETWORK_PROTOCOLS[kind]
    if kind.startswith("rtsp"):  # the address itself says the format
        tcp = {"rtsp_transport": "tcp"}
        return SourceSpec(name, address, format="rtsp", options={**limits, **tcp})
    return SourceSpec(name, address, options={**whitelist, **limits})


def _has_host(address: str) -> bool:
    try:
        return bool(urlsplit(address).hostname)
    except ValueError:
        return False
