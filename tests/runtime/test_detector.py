"""The detector on a bundle whose answers are known, on damaged ones, and on a real one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.errors import BundleDamaged, ImageNotFound, ImageUnreadable, UsageError
from sightline.manifest import file_entry, read_manifest, write_manifest
from sightline.runtime.detector import Detector
from sightline.runtime.engines.onnx import open_session


def quarter_lit(width: int, height: int, *, lower: bool = False, right: bool = False) -> np.ndarray:
    """Black but for one white quarter."""
    image = np.zeros((height, width, 3), np.uint8)
    rows = slice(height // 2, None) if lower else slice(0, height // 2)
    columns = slice(width // 2, None) if right else slice(0, width // 2)
    image[rows, columns] = 255
    return image


@pytest.mark.parametrize(("lower", "right"), [(False, False), (False, True), (True, False)])
def test_finds_the_lit_quarter_in_pixels_of_the_image(
    tiny_bundle: Path, lower: bool, right: bool
) -> None:
    found = Detector.load(tiny_bundle)(quarter_lit(640, 480, lower=lower, right=right))
    assert found.labels == ["lower" if lower else "upper"]
    assert found.boxes_xyxy.tolist() == [
        [320 * right, 240 * lower, 320 * right + 320, 240 * lower + 240]
    ]
    assert (found.width, found.height) == (640, 480)
    assert found.scores[0] > 0.9  # below 1: the antialiased edge runs along the quarter


def test_array_picture_path_and_bytes_are_the_same(tiny_bundle: Path, tmp_path: Path) -> None:
    image = quarter_lit(100, 60, right=True)
    Image.fromarray(image).save(tmp_path / "lit.png")
    detector = Detector.load(tiny_bundle)
    expected = detector(image, threshold=0.0).to_json()
    assert len(expected) == 4
    for same in (
        Image.fromarray(image),
        tmp_path / "lit.png",
        str(tmp_path / "lit.png"),
        (tmp_path / "lit.png").read_bytes(),
    ):
        assert detector(same, threshold=0.0).to_json() == expected


@pytest.mark.parametrize(
    "name", ["17_gray16.png", "19_gray_alpha.png", "21_palette_transparent.png"]
)
def test_a_pillow_image_of_any_mode_is_as_its_file(
    tiny_bundle: Path, shared: Path, name: str
) -> None:
    detector = Detector.load(tiny_bundle)
    path = shared / "data" / "broken" / name
    with Image.open(path) as image:
        assert detector(image, threshold=0.0).to_json() == detector(path, threshold=0.0).to_json()


def test_boxes_are_of_the_upright_image(tiny_bundle: Path, tmp_path: Path) -> None:
    """Orientation 6: stored rows are columns; stored upper left shows at the upper right."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(quarter_lit(80, 40)).save(tmp_path / "turned.png", exif=exif)
    found = Detector.load(tiny_bundle)(tmp_path / "turned.png")
    assert (found.width, found.height) == (40, 80)
    assert found.boxes_xyxy.tolist() == [[20, 0, 40, 40]]


def test_threshold_is_the_manifests_unless_given(tiny_bundle: Path) -> None:
    detector = Detector.load(tiny_bundle)
    grey = np.full((24, 32, 3), 127, np.uint8)  # every quarter scores 127/255 = 0.498
    assert len(detector(grey)) == 0
    assert len(detector(grey, threshold=0.498)) == 4
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match=r"in 0\.\.1"):
            detector(grey, threshold=wrong)


def test_nms_of_the_manifest_is_applied(tiny_bundle: Path) -> None:
    """No two quarters overlap, so nothing goes even at IoU 0; the manifest's value is read."""
    manifest = dataclasses.replace(read_manifest(tiny_bundle), nms_iou=0.0)
    write_manifest(tiny_bundle, manifest)
    detector = Detector.load(tiny_bundle)
    assert detector.manifest.nms_iou == 0.0
    assert len(detector(np.full((24, 32, 3), 255, np.uint8))) == 4


def test_what_is_no_image_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    detector = Detector.load(tiny_bundle)
    with pytest.raises(UsageError, match="uint8 RGB, not"):
        detector(np.zeros((24, 32), np.uint8))
    with pytest.raises(UsageError, match="float32"):
        detector(np.zeros((24, 32, 3), np.float32))
    with pytest.raises(UsageError):
        detector(np.zeros((0, 32, 3), np.uint8))
    with pytest.raises(ImageNotFound):
        detector(tmp_path / "absent.jpg")
    with pytest.raises(ImageUnreadable):
        detector(b"no image")


def test_stream_pairs_each_image_of_a_folder(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(quarter_lit(64, 48)).save(folder / "1.png")
    Image.fromarray(quarter_lit(64, 48, lower=True)).save(folder / "2.png")
    pairs = list(Detector.load(tiny_bundle).stream(folder))
    assert [Path(frame.name).name for frame, _ in pairs] == ["1.png", "2.png"]
    assert [found.labels for _, found in pairs] == [["upper"], ["lower"]]


def test_threads_are_set_and_spinning_is_off(tiny_bundle: Path) -> None:
    session = open_session(tiny_bundle / "model.onnx", threads=2)
    options = session.get_session_options()
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    with pytest.raises(UsageError, match="at least 1"):
        open_session(tiny_bundle / "model.onnx", threads=0)


def test_a_truncated_graph_is_damaged(tiny_bundle: Path) -> None:
    graph = tiny_bundle / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-40])
    with pytest.raises(BundleDamaged, match="truncated or was changed"):
        Detector.load(tiny_bundle)


def test_a_changed_graph_is_damaged(tiny_bundle: Path) -> None:
    graph = tiny_bundle / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)
    with pytest.raises(BundleDamaged, match="sha256"):
        Detector.load(tiny_bundle)


def test_a_graph_that_is_none_is_damaged_even_with_its_right_sha256(tiny_bundle: Path) -> None:
    graph = tiny_bundle / "model.onnx"
    for content in (graph.read_bytes()[:-40], b"", b"\0" * 500, b"no graph"):
        graph.write_bytes(content)
        write_manifest(
            tiny_bundle,
            dataclasses.replace(
                read_manifest(tiny_bundle), files={"model.onnx": file_entry(graph)}
            ),
        )
        with pytest.raises(BundleDamaged) as caught:
            Detector.load(tiny_bundle)
        assert "model.onnx" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 33}, "image is tensor(uint8) [1, 24, 32, 3], the manifest wants"),
        ({"max_detections": 5}, "boxes is tensor(float) [1, 4, 4], the manifest wants"),
        ({"batch": 2}, "image is tensor(uint8) [1, 24, 32, 3], the manifest wants"),
        ({"labels": ("upper",)}, "gave labels 0..1, the manifest names 1"),
    ],
)
def test_a_manifest_that_disagrees_with_the_graph_is_damaged(
    tiny_bundle: Path, change: dict, message: str
) -> None:
    write_manifest(tiny_bundle, dataclasses.replace(read_manifest(tiny_bundle), **change))
    with pytest.raises(BundleDamaged) as caught:
        Detector.load(tiny_bundle)
    assert message in str(caught.value)


def test_a_missing_graph_is_damaged(tiny_bundle: Path) -> None:
    (tiny_bundle / "model.onnx").unlink()
    with pytest.raises(BundleDamaged, match="is missing"):
        Detector.load(tiny_bundle)
