"""Files that cannot be imported are named with the reason, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest

from sightline.errors import ExportError, ForeignModelError, ImageError
from sightline.runtime.detector import Detector
from sightline.workflow.import_model import import_model


def _text(path: Path, foreign: SimpleNamespace) -> None:
    path.write_text("this is no model\n" * 20, encoding="utf-8")


def _empty(path: Path, foreign: SimpleNamespace) -> None:
    path.write_bytes(b"")


def _truncated(path: Path, foreign: SimpleNamespace) -> None:
    content = foreign.detr(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _classifier(path: Path, foreign: SimpleNamespace) -> None:
    foreign.classifier(path)


def _too_new(path: Path, foreign: SimpleNamespace) -> None:
    model = onnx.load(foreign.detr(path))
    model.opset_import[0].version = 99
    onnx.save(model, path)


def _too_old(path: Path, foreign: SimpleNamespace) -> None:
    model = onnx.load(foreign.detr(path))
    model.opset_import[0].version = 9
    onnx.save(model, path)


def _without_weights(path: Path, foreign: SimpleNamespace) -> None:
    model = onnx.load(foreign.detr(path))
    onnx.save(model, path, save_as_external_data=True, location="w.data", size_threshold=0)
    (path.parent / "w.data").unlink()


def _with_short_weights(path: Path, foreign: SimpleNamespace) -> None:
    model = onnx.load(foreign.detr(path))
    onnx.save(model, path, save_as_external_data=True, location="w.data", size_threshold=0)
    data = path.parent / "w.data"
    data.write_bytes(data.read_bytes()[:10])


def _of_another_runtime(path: Path, foreign: SimpleNamespace) -> None:
    model = onnx.load(foreign.detr(path))
    model.graph.node[4].domain = "mmdeploy"
    model.opset_import.append(onnx.helper.make_opsetid("mmdeploy", 1))
    onnx.save(model, path)


BROKEN: dict[str, tuple[Callable[[Path, SimpleNamespace], None], str]] = {
    "text": (_text, "is no ONNX file"),
    "empty": (_empty, "is no ONNX file, or an empty one"),
    "truncated": (_truncated, "is no ONNX file, or a damaged or truncated one"),
    "classifier": (_classifier, r"no detector .* It has input float \[\?, 3, 224, 224\] in"),
    "opset 99": (_too_new, r"needs ONNX operator set 99, .* export it with opset 17"),
    "opset 9": (_too_old, "has ONNX operator set 9, at least 11 is needed"),
    "weights elsewhere": (_without_weights, r"weights in another file .*: w\.data; put it there"),
    "weights cut short": (_with_short_weights, r"weights in w\.data cannot be read"),
    "foreign operators": (_of_another_runtime, "cannot be loaded by ONNX Runtime: .*mmdeploy"),
}


@pytest.mark.parametrize(("make", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_usable_onnx_is_refused(
    foreign: SimpleNamespace,
    tmp_path: Path,
    make: Callable[[Path, SimpleNamespace], None],
    message: str,
) -> None:
    file = tmp_path / "model.onnx"
    make(file, foreign)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ForeignModelError, match=message) as caught:
        import_model(file, out=tmp_path / "bundle")
    assert "model.onnx" in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_weights_beside_the_graph_are_taken_in(foreign: SimpleNamespace, tmp_path: Path) -> None:
    model = onnx.load(foreign.detr(tmp_path / "m.onnx"))
    (tmp_path / "apart").mkdir()
    file = tmp_path / "apart" / "m.onnx"
    onnx.save(model, file, save_as_external_data=True, location="w.data", size_threshold=0)
    import_model(file, out=tmp_path / "bundle")
    file.unlink()
    (tmp_path / "apart" / "w.data").unlink()
    photo = foreign.draw_quarters(tmp_path / "photo.png", (10, 20, 30, 240))
    assert len(Detector.load(tmp_path / "bundle")(photo)) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.onnx", "no such file"),
        ("weights.pth", "PyTorch weights without their network; export the model to ONNX"),
        ("model.tflite", "is a LiteRT file"),
        ("folder", "holds no model"),
        ("bundle-already", "is a bundle already"),
        ("package.json", "is no TensorFlow.js model"),
    ],
)
def test_other_things_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "weights.pth").write_bytes(b"PK")
    (tmp_path / "model.tflite").write_bytes(b"TFL3")
    (tmp_path / "package.json").write_text("{}", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bundle-already").mkdir()
    (tmp_path / "bundle-already" / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ForeignModelError, match=message):
        import_model(tmp_path / name, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_there_stays(foreign: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine", encoding="utf-8")
    with pytest.raises(ExportError, match="exists"):
        import_model(foreign.detr(tmp_path / "m.onnx"), out=tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text(encoding="utf-8") == "mine"


def test_a_sample_that_is_no_image_is_told_first(foreign: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"photo\.jpg"):
        import_model(
            foreign.detr(tmp_path / "m.onnx"), out=tmp_path / "out", sample=tmp_path / "photo.jpg"
        )
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
