"""Official DETR exports become bundles that find what the files themselves find."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest

from sightline.errors import ForeignModelError
from sightline.evaluate.run import evaluate
from sightline.labels import COCO_LABELS
from sightline.runtime.detector import Detector
from sightline.workflow.adapters.config import ImportConfig
from sightline.workflow.import_model import Sample, import_model

# The quarters' levels of the photo used here, and the order that they are found in.
LEVELS = (51, 204, 102, 153)
ORDER = [1, 3, 2, 0]


@pytest.fixture(scope="session", params=["atto", "femto"])
def official(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A size, and the bundle of its official export."""
    out = tmp_path_factory.mktemp("imported") / request.param
    import_model(shared / "models" / f"official-{request.param}.onnx", out=out)
    return request.param, out


def test_an_official_export_finds_what_it_found(official: tuple[str, Path], shared: Path) -> None:
    size, bundle = official
    golden = np.load(shared / "models" / f"golden-{size}.npz")
    detector = Detector.load(bundle, threads=1)
    side = int(golden["input_size"])
    assert detector.labels == COCO_LABELS
    for index, pixels in enumerate(golden["images_uint8"]):
        found = detector.infer(pixels)
        scores, boxes = golden["scores"][index], golden["boxes"][index] / side
        # The same graph on the same pixels; threads may sum in another order.
        np.testing.assert_allclose(found.scores, scores, atol=1e-5)
        strong = scores > 0.05  # weaker ones may tie, and ties change places
        assert strong.sum() >= 5
        np.testing.assert_allclose(found.boxes_xyxy_norm[strong], boxes[strong], atol=1e-4)
        np.testing.assert_array_equal(found.label_ids[strong], golden["labels"][index][strong])


@pytest.mark.slow
def test_it_keeps_its_ap(official: tuple[str, Path], shared: Path) -> None:
    from sightline.data.dataset import Dataset

    size, bundle = official
    dataset = Dataset.load(shared / "data" / "coco_val100")
    found = evaluate(Detector.load(bundle, threads=1), dataset, split="all")
    # SOURCES.md has them by pycocotools, to 3 digits.
    assert found.AP is not None
    assert abs(found.AP - {"atto": 0.328, "femto": 0.412}[size]) < 0.001


def test_the_manifest_says_where_it_is_from(
    foreign: SimpleNamespace, tmp_path: Path, contracts: Path
) -> None:
    file = foreign.detr(tmp_path / "mine.onnx")
    config = ImportConfig(license="Apache-2.0", threshold=0.25)
    imported = import_model(file, out=tmp_path / "bundle", config=config)
    value = json.loads((tmp_path / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    schema = json.loads((contracts / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(value, schema)
    assert value["name"] == "mine"
    assert value["base"]["source"] == "mine.onnx"
    assert value["base"]["license"] == "Apache-2.0"
    assert value["base"]["pixels"] == "unit"
    assert "imported" in value["unproven"]
    assert (value["score_threshold"], value["nms_iou"], value["parity"]) == (0.25, None, [])
    assert value["input"]["resize"] == "stretch"
    assert imported.manifest.max_detections == 4
    assert sorted(p.name for p in (tmp_path / "bundle").iterdir()) == [
        "manifest.json",
        "model.onnx",
    ]


@pytest.mark.parametrize("boxes", ["of-size", "rounded", "input"])
@pytest.mark.parametrize("names", [("labels", "boxes", "scores"), ("a", "b", "c")])
def test_boxes_come_in_0_to_1_whatever_their_unit(
    foreign: SimpleNamespace, tmp_path: Path, boxes: str, names: tuple[str, str, str]
) -> None:
    file = foreign.detr(tmp_path / "m.onnx", boxes=boxes, names=names, batch="N")
    import_model(file, out=tmp_path / "bundle")
    found = Detector.load(tmp_path / "bundle")(
        foreign.draw_quarters(tmp_path / "photo.png", LEVELS), threshold=0
    )
    expected = foreign.quarters[ORDER] * [32, 24, 32, 24]
    np.testing.assert_allclose(found.boxes_xyxy, expected, atol=1e-4)
    # A mean of 576 float32 values, summed one by one.
    np.testing.assert_allclose(found.scores, np.array(LEVELS)[ORDER] / 255, atol=1e-5)
    assert found.label_ids.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_old_operator_sets_are_wrapped_too(
    foreign: SimpleNamespace, tmp_path: Path, opset: int
) -> None:
    file = foreign.yolox(tmp_path / "m.onnx", is_decoded=False)
    if opset > 11:
        file = foreign.detr(tmp_path / "m.onnx", opset=opset)
    names = tmp_path / "names.txt"
    names.write_text("red\nblue\n", encoding="utf-8")
    import_model(file, out=tmp_path / "bundle", config=ImportConfig(labels=str(names)))
    assert Detector.load(tmp_path / "bundle").labels == ("red", "blue")


def test_a_graph_of_any_size_asks_which(foreign: SimpleNamespace, tmp_path: Path) -> None:
    file = foreign.detr(tmp_path / "m.onnx", sides=("H", "W"))
    with pytest.raises(ForeignModelError, match=r"any size; say which .* --size"):
        import_model(file, out=tmp_path / "bundle")
    file = foreign.detr(tmp_path / "n.onnx", sides=(24, "W"))
    imported = import_model(file, out=tmp_path / "bundle", config=ImportConfig(size=32))
    assert (imported.manifest.width, imported.manifest.height) == (32, 24)


def test_a_batch_is_refused(foreign: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(ForeignModelError, match="4 images at once; export it for one"):
        import_model(foreign.detr(tmp_path / "m.onnx", batch=4), out=tmp_path / "bundle")


def test_ids_of_coco_are_recognised(foreign: SimpleNamespace, tmp_path: Path) -> None:
    """1..90 with gaps: 12 is nobody's, 90 the toothbrush, 17 the cat, 1 the person."""
    file = foreign.detr(tmp_path / "m.onnx", labels=(90, 12, 17, 1))
    imported = import_model(file, out=tmp_path / "bundle")
    assert "taken as the ids of COCO's 80 names, 1..90" in imported.notes[0]
    photo = foreign.draw_quarters(tmp_path / "photo.png", LEVELS)
    found = Detector.load(tmp_path / "bundle")(photo, threshold=0)
    assert found.labels[:3] == ["person", "cat", "toothbrush"]
    # What has no class is the last, with the score 0, whatever it had.
    np.testing.assert_allclose(found.scores, np.array([153, 102, 51, 0]) / 255, atol=1e-5)


def test_ids_of_a_label_map_are_recognised(foreign: SimpleNamespace, tmp_path: Path) -> None:
    labels = tmp_path / "map.pbtxt"
    labels.write_text("item { id: 1 name: 'cat' } item { id: 2 name: 'dog' }", encoding="utf-8")
    config = ImportConfig(labels=str(labels))
    photo = foreign.draw_quarters(tmp_path / "photo.png", LEVELS)
    for first in (0, 1):
        file = foreign.detr(tmp_path / f"{first}.onnx", labels=(first,) * 3 + (first + 1,))
        import_model(file, out=tmp_path / str(first), config=config)
        found = Detector.load(tmp_path / str(first))(photo, threshold=0)
        assert found.labels == ["cat", "dog", "cat", "cat"]


def test_labels_beyond_the_list_are_told(foreign: SimpleNamespace, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\n", encoding="utf-8")
    file = foreign.detr(tmp_path / "m.onnx", labels=(0, 1, 2, 3))
    with pytest.raises(ForeignModelError, match=r"labels 0\.\.3, but .*names.txt has 2 names"):
        import_model(file, out=tmp_path / "b", config=ImportConfig(labels=str(names)))
    file = foreign.detr(tmp_path / "n.onnx", labels=(0, 1, 2, 365))
    with pytest.raises(ForeignModelError, match=r"COCO's 80 names has 80 names.*--labels FILE"):
        import_model(file, out=tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_scores_that_are_none_are_told(foreign: SimpleNamespace, tmp_path: Path) -> None:
    file = foreign.detr(tmp_path / "m.onnx", gain=9.0)
    photo = foreign.draw_quarters(tmp_path / "photo.png", LEVELS)
    with pytest.raises(ForeignModelError, match=r"scores are 1.8\.\.7.2, not in 0\.\.1"):
        import_model(file, out=tmp_path / "b", sample=photo)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "photo.png"]


def test_the_wrong_pixels_are_told(shared: Path, tmp_path: Path) -> None:
    """The network wants RGB in 0..1; fed 0..255 it finds next to nothing."""
    seen: list[Sample] = []

    def refuse(sample: Sample) -> bool:
        assert sample.picture.is_file()
        seen.append(sample)
        return False

    with pytest.raises(ForeignModelError, match="its boxes do not fit; --pixels"):
        import_model(
            shared / "models" / "official-atto.onnx",
            out=tmp_path / "bundle",
            sample=shared / "data" / "coco_val100" / "images" / "000000000139.jpg",
            config=ImportConfig(pixels="rgb255"),
            confirm=refuse,
        )
    assert any("--pixels unit fits this photo better" in doubt for doubt in seen[0].doubts)
    assert [p.name for p in tmp_path.iterdir()] == ["bundle-sample.jpg"]
