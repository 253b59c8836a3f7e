"""Live streams over WebRTC: latency and whether it stays, shares of many peers, disconnects.

    python benchmarks/streams.py latency [MODEL] [--minutes 1]
    python benchmarks/streams.py peers [MODEL] [--peers 8] [--minutes 1]
    python benchmarks/streams.py churn [MODEL] [--times 1000]

MODEL is a bundle; by default atto with COCO weights. Needs SIGHTLINE_SHARED (../shared) and an
address other than loopback, which the ICE library skips. The server is `sightline serve` in a
process of its own, peers are aiortc's in this one; both share the machine's cores.

- latency: VGA at 30 frames/s, painted, encoded (VP8), sent, decoded, detected in, and the result
  back on the data channel; from painting to the result, by minute. Beside it what cannot be
  avoided: a frame interval and the inference that the server itself reports.
- peers: peers that send frames encoded beforehand, so that the cores are the server's; results
  of each, their spread, and whether the time in the server grows.
- churn: peers that connect, get a result and vanish without a word; file descriptors, threads
  and memory of the server before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import json
import os
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from server import SHARED, free_port, make_bundle, running

CLIP = SHARED / "data" / "video" / "bottle-detection.mp4"
FPS, WIDTH, HEIGHT = 30, 640, 480
TICKS = 90_000 // FPS
CLIP_FRAMES = 240


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("latency", "peers", "churn"))
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--peers", type=int, default=8)
    parser.add_argument("--times", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = args.model or make_bundle("atto", Path(folder))
        with _server(model) as (url, pid):
            work = {"latency": _latency, "peers": _peers, "churn": _churn}[args.what]
            asyncio.run(work(url, pid, args))


async def _latency(url: str, pid: int, args: argparse.Namespace) -> None:
    peer = Peer(url, FrameTrack(_read_frames()))
    await peer.connect()
    await asyncio.sleep(3)  # warm
    print(
        "| minute | results/s | p50 ms | p95 ms | infer p50 ms | interval + infer + 30 ms "
        "| dropped | server CPU | load |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    minutes = max(1, round(args.minutes))
    length_s = 60 * args.minutes / minutes
    for minute in range(1, minutes + 1):
        peer.results.clear()
        dropped, cpu, start = peer.dropped, _cpu_s(pid), time.perf_counter()
        await asyncio.sleep(length_s)
        elapsed = time.perf_counter() - start
        delays = [result.delay_ms for result in peer.results]
        infer = statistics.median(result.infer_ms for result in peer.results)
        print(
            f"| {minute} | {len(delays) / elapsed:.1f} | {statistics.median(delays):.1f} "
            f"| {statistics.quantiles(delays, n=20)[18]:.1f} | {infer:.1f} "
            f"| {1000 / FPS + infer + 30:.1f} | {peer.dropped - dropped} "
            f"| {(_cpu_s(pid) - cpu) / elapsed:.2f} | {os.getloadavg()[0]:.1f} |",
            flush=True,
        )
    await peer.close()


async def _peers(url: str, pid: int, args: argparse.Namespace) -> None:
    packets = _encode(_read_frames())
    peers = [Peer(url, PacketTrack(packets)) for _ in range(args.peers)]
    for peer in peers:
        await peer.connect()
    await asyncio.sleep(3)
    print("| part | results/s by peer | least to most | in the server p50 ms | RSS MiB | load |")
    print("|---|---|---|---|---|---|")
    for part in range(1, 5):
        for peer in peers:
            peer.results.clear()
        await asyncio.sleep(args.minutes * 15)
        counts = [len(peer.results) for peer in peers]
        ages = [result.age_ms for peer in peers for result in peer.results]
        rates = " ".join(f"{count / (args.minutes * 15):.1f}" for count in counts)
        print(
            f"| {part} of 4 | {rates} | {min(counts) / max(counts):.2f} "
            f"| {statistics.median(ages):.1f} | {_memory_mib(pid):.0f} "
            f"| {os.getloadavg()[0]:.1f} |",
            flush=True,
        )
    for peer in peers:
        await peer.close()


async def _churn(url: str, pid: int, args: argparse.Namespace) -> None:
    packets = _encode(_read_frames()[:60])
    print("| connects | file descriptors | threads | RSS MiB | sessions |")
    print("|---|---|---|---|---|")
    done = 0
    for goal in (10, *(args.times * part // 4 for part in range(1, 5))):
        while done < goal:
            peers = [Peer(url, PacketTrack(packets)) for _ in range(min(5, goal - done))]
            await asyncio.gather(*(peer.connect() for peer in peers))
            for peer in peers:
                await peer.vanish()
            done += len(peers)
        for _ in range(60):  # the server's own timers notice
            if _sessions(url) == 0:
                break
            await asyncio.sleep(1)
        print(
            f"| {done} | {len(os.listdir(f'/proc/{pid}/fd'))} "
            f"| {len(os.listdir(f'/proc/{pid}/task'))} | {_memory_mib(pid):.0f} "
            f"| {_sessions(url)} |",
            flush=True,
        )


class Result:
    """One message of the data channel. delay_ms: since the frame was painted."""

    def __init__(self, message: dict[str, Any], painted: float | None) -> None:
        self.delay_ms = (time.perf_counter() - painted) * 1e3 if painted else 0.0
        self.infer_ms = message["timing"]["infer_ms"]
        self.age_ms = message["age_ms"]


class Peer:
    """One sender and the results that it gets."""

    def __init__(self, url: str, track: FrameTrack | PacketTrack) -> None:
        self.url = url
        self.track = track
        self.results: list[Result] = []
        self.dropped = 0
        self.has_result = asyncio.Event()
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    async def connect(self) -> None:
        """Offer, and wait for the first result."""
        channel = self.connection.createDataChannel("detections", ordered=False, maxRetransmits=0)
        channel.on("message", self._take)
        self.connection.addTrack(self.track)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = self.connection.localDescription
        body = json.dumps({"sdp": offer.sdp, "type": offer.type}).encode()
        answer = await asyncio.to_thread(_post, f"{self.url}/v1/webrtc/offer", body)
        await self.connection.setRemoteDescription(
            RTCSessionDescription(answer["sdp"], answer["type"])
        )
        await asyncio.wait_for(self.has_result.wait(), 30)

    async def vanish(self) -> None:
        """Stop sending at once and say nothing: no DTLS alert, no RTCP BYE."""
        for transceiver in self.connection.getTransceivers():
            await transceiver.sender.transport.transport.stop()  # the ICE transport
        await self.connection.close()

    async def close(self) -> None:
        await self.connection.close()

    def _take(self, text: str) -> None:
        message = json.loads(text)
        if message["type"] != "detections":
            return
        self.dropped = message["dropped"]
        painted = self.track.painted.pop(message["pts"] // TICKS, None)
        self.results.append(Result(message, painted))
        self.has_result.set()


class FrameTrack(MediaStreamTrack):
    """A clip's frames at their pace, over and over, encoded as they come."""

    kind = "video"

    def __init__(self, frames: list[av.VideoFrame]) -> None:
        super().__init__()
        self.frames = frames
        self.painted: dict[int, float] = {}
        self.number = 0
        self.start = 0.0

    async def recv(self) -> Any:
        self.start = self.start or time.perf_counter()
        due = self.start + self.number / FPS
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        frame = self.make()
        self.painted[self.number] = time.perf_counter()
        self.painted.pop(self.number - 300, None)
        self.number += 1
        return frame

    def make(self) -> Any:
        frame = self.frames[self.number % len(self.frames)]
        frame.pts = self.number * TICKS
        frame.time_base = fractions.Fraction(1, 90_000)
        return frame


class PacketTrack(FrameTrack):
    """The same, encoded beforehand."""

    def __init__(self, packets: list[bytes]) -> None:
        super().__init__([])
        self.packets = packets

    def make(self) -> Any:
        packet = av.Packet(self.packets[self.number % len(self.packets)])
        packet.pts = self.number * TICKS
        packet.time_base = fractions.Fraction(1, 90_000)
        return packet


def _read_frames() -> list[av.VideoFrame]:
    with av.open(str(CLIP)) as clip:
        frames = []
        for frame in clip.decode(video=0):
            frames.append(frame.reformat(WIDTH, HEIGHT, "yuv420p"))
            if len(frames) == CLIP_FRAMES:
                break
        return frames


def _encode(frames: list[av.VideoFrame]) -> list[bytes]:
    codec: Any = av.CodecContext.create("libvpx", "w")
    codec.width, codec.height, codec.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    codec.time_base = fractions.Fraction(1, FPS)
    codec.bit_rate = 1_000_000
    codec.options = {"g": "30", "deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    packets = []
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = number, codec.time_base
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets


@contextmanager
def _server(model: Path) -> Iterator[tuple[str, int]]:
    port = free_port()
    command = [sys.executable, "-m", "sightline.cli.main", "serve", str(model), "--port", str(port)]
    command += ["--max-sessions", "1000"]  # those that vanish keep their places for 10 s
    with running(command, port) as process:
        print(process.lines[-1] if process.lines else "", file=sys.stderr)
        yield f"http://127.0.0.1:{port}", process.pid


def _post(url: str, body: bytes) -> Any:
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def _sessions(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    return sum(float(n) for n in re.findall(r"^sightline_sessions\{.*\} (\S+)$", text, re.M))


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
