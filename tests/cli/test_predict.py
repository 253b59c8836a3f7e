"""`sightline predict` as a user runs it: its own process, real files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli.main import main
from sightline.errors import SightlineError

GOOD = {
    "01_ok.jpg": (320, 205),
    "05_bitflips.jpg": (320, 205),
    "08_png_named.jpg": (320, 205),
    "12_wide_20000x1.png": (20000, 1),
    "13_1x1.png": (1, 1),
    "14_exif_orientation_2.jpg": (320, 205),
    "14_exif_orientation_3.jpg": (320, 205),
    "14_exif_orientation_5.jpg": (320, 205),
    "14_exif_orientation_6.jpg": (320, 205),
    "14_exif_orientation_8.jpg": (320, 205),
    "15_cmyk.jpg": (320, 205),
    "16_gray.jpg": (320, 205),
    "17_gray16.png": (160, 102),
    "18_rgb16.png": (96, 61),
    "19_gray_alpha.png": (96, 61),
    "20_rgba.png": (96, 61),
    "21_palette_transparent.png": (96, 61),
    "22_animated.gif": (96, 61),
    "23_animated.webp": (96, 61),
    "24_multipage.tiff": (96, 61),
    "25_progressive.jpg": (320, 205),
    "26_trailing_garbage.jpg": (320, 205),
    "27_bmp.bmp": (96, 61),
    "28_имя файла с пробелом é 日本 #1%20.jpg": (320, 205),
    "31_UPPER.JPG": (320, 205),
}
BAD = {
    "02_truncated_half.jpg": "truncated",
    "03_truncated_last20.jpg": "truncated",
    "04_header_only.jpg": "truncated",
    "06_zero_bytes.jpg": "is empty",
    "07_text.jpg": "is text",
    "09_bomb_30000x30000_1bit.png": "900.0 megapixels",
    "10_bomb_declared_only.png": "900.0 megapixels",
    "11_huge_dims.png": "megapixels",
    "29_svg.svg": "SVG",
    "30_riff_truncated.webp": "truncated",
}

# A process of its own, so that its peak memory is the command's and not the tests'.
# VmHWM and not ru_maxrss, which a child inherits from the process that started it.
MEASURED = """
import sys
from pathlib import Path
from sightline.cli.main import main
code = main(sys.argv[1:])
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]), file=sys.stderr)
sys.exit(code)
"""


def sightline(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_every_broken_file_is_named_and_the_rest_predicted(
    coco_bundle: Path, shared: Path, tmp_path: Path
) -> None:
    folder = shared / "data" / "broken"
    listed = {path.name for path in folder.iterdir() if path.suffix != ".md"}
    assert listed == GOOD.keys() | BAD.keys()
    done = sightline("predict", coco_bundle, folder, "--json", "--save", tmp_path / "out")
    assert done.returncode == 1
    *messages, peak_kib = done.stderr.splitlines()
    assert int(peak_kib) < 1024 * 1024  # 1 GiB of resident memory
    assert len(messages) == len(BAD)
    for message, (name, reason) in zip(messages, sorted(BAD.items()), strict=True):
        assert name in message and reason in message
    found = {Path(one["image"]).name: one for one in json.loads(done.stdout)}
    assert {name: (one["width"], one["height"]) for name, one in found.items()} == GOOD
    upright = found["01_ok.jpg"]["detections"]
    assert [one["label"] for one in upright] == ["cat"]
    for orientation in (2, 3, 5, 6, 8):
        turned = found[f"14_exif_orientation_{orientation}.jpg"]["detections"]
        assert [one["label"] for one in turned] == ["cat"]
        # The photo was compressed again when it was turned: the network sees other pixels.
        difference = [abs(a - b) for a, b in zip(upright[0]["box"], turned[0]["box"], strict=True)]
        assert max(difference) < 8
    assert len(list((tmp_path / "out").iterdir())) == len(GOOD)


def test_a_video_gives_one_object_a_frame_and_bad_ones_a_line(
    tiny_bundle: Path, shared: Path, tmp_path: Path
) -> None:
    clip = shared / "data" / "video" / "pan_coco139_5s.mp4"
    (tmp_path / "text.mp4").write_text("hello")
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:20_000])
    done = sightline(
        "predict", tiny_bundle, tmp_path / "text.mp4", clip, tmp_path / "cut.mp4", "--json"
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(77))
    assert lines[15]["time_s"] == pytest.approx(1.0, abs=1e-3)  # 15 fps, ms time stamps
    assert {line["image"] for line in lines} == {str(clip)}
    assert done.returncode == 1
    first, second, _ = done.stderr.splitlines()  # FFmpeg's own lines are kept off the terminal
    assert "text.mp4 cannot be opened as a video" in first
    assert "cut.mp4 cannot be opened as a video" in second


def test_lines_for_people(tiny_bundle: Path, shared: Path, capsys: pytest.CaptureFixture) -> None:
    image = shared / "data" / "broken" / "01_ok.jpg"
    assert main(["predict", str(tiny_bundle), str(image), "--threshold", "0.01"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{image}: ") and "upper 0." in out
    assert err == ""
    assert main(["predict", str(tiny_bundle), str(image), "--threshold", "1"]) == 0
    assert capsys.readouterr().out == f"{image}: nothing\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["absent.jpg"], 1, "no such file"),
        (["http://example.com/a.jpg"], 1, "not fetched"),
        (["{image}", "--threshold", "7"], 2, "in 0..1"),
        (["{image}", "--save", "{folder}"], 2, "overwrite the original"),
    ],
)
def test_wrong_use_is_one_line(
    tiny_bundle: Path,
    shared: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    arguments: list[str],
    exit_code: int,
    message: str,
) -> None:
    image = tmp_path / "01_ok.jpg"
    image.write_bytes((shared / "data" / "broken" / "01_ok.jpg").read_bytes())
    filled = [word.format(image=image, folder=tmp_path) for word in arguments]
    assert main(["predict", str(tiny_bundle), *filled, "--json"]) == exit_code
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1 and message in err
    assert exit_code == 2 or json.loads(out) == []


def test_a_damaged_bundle_is_one_line(tiny_bundle: Path, capsys: pytest.CaptureFixture) -> None:
    (tiny_bundle / "model.onnx").write_bytes(b"")
    assert main(["predict", str(tiny_bundle), "a.jpg"]) == SightlineError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert "has 0 bytes, the manifest says" in line
