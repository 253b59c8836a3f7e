"""Coverage-guided fuzzing of the data set readers: anything but our own errors is a fault.

    python tools/fuzz.py [TARGET] [--runs 25000] [libFuzzer options such as -timeout=20]

Each input is written as an annotation file beside one small picture, and the folder is loaded as
a user would load it. Seeds are what the writers themselves write, so that mutations begin deep in
the readers. Without TARGET, each in its turn. Needs atheris; `make fuzz` installs it.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sightline"]):
    from sightline.data.dataset import Dataset
    from sightline.errors import SightlineError

import numpy as np
from PIL import Image

from sightline.data.formats.record_file import read_records, write_record
from sightline.data.records import Record

# Target -> the file that the input becomes, and where writers' output for its seeds comes from.
TARGETS = {
    "voc": ("a.xml", "voc", "*.xml"),
    "coco": ("a.json", "coco", "*.json"),
    "createml": ("a.createml.json", "createml", "*.json"),
    "csv": ("a.csv", "csv", "*.csv"),
    "yolo": ("labels/a.txt", "yolo", "*.txt"),
    "yaml": ("data.yaml", "yolo", "*.yaml"),
    "tfrecord": ("a.record", "tfrecord", "*.record"),
    "example": ("a.record", "tfrecord", "*.record"),  # whole frames: damage inside of checksums
    "labelmap": ("labelmap.pbtxt", "tfrecord", "*.pbtxt"),
    "zip": ("a.zip", "voc", None),
    "cvat": ("a.xml", None, None),
    "labelme": ("a.json", None, None),
    "label-studio": ("a.json", None, None),
    "datumaro": ("a.json", None, None),
    "open-images": ("a.csv", None, None),
}
# For formats that are only read: a small whole file each.
SEEDS = {
    "cvat": b'<?xml version="1.0"?><annotations><version>1.1</version><meta><task><labels><label>'
    b'<name>cat</name></label></labels></task></meta><image id="0" name="a.png" width="20" '
    b'height="10"><box label="cat" occluded="0" xtl="1.5" ytl="2" xbr="9" ybr="8" rotation="30"/>'
    b'<polygon label="cat" points="1,1;5,1;5,5"/></image><track id="0" label="cat"><box frame="1" '
    b'xtl="1" ytl="1" xbr="4" ybr="4" outside="0" keyframe="1"/></track></annotations>',
    "labelme": b'{"version":"5.0","shapes":[{"label":"cat","points":[[1,2],[9,8]],"shape_type":'
    b'"rectangle"},{"label":"dog","points":[[1,1],[5,1],[5,5]],"shape_type":"polygon"},{"label":'
    b'"o","points":[[5,5],[7,5]],"shape_type":"circle"}],"imagePath":"a.png","imageData":null,'
    b'"imageHeight":10,"imageWidth":20}',
    "label-studio": b'[{"id":1,"data":{"image":"/data/upload/1/0a1b2c3d-a.png"},"annotations":[{'
    b'"id":1,"was_cancelled":false,"result":[{"id":"x","type":"rectanglelabels","original_width":'
    b'20,"original_height":10,"value":{"x":10,"y":20,"width":30,"height":40,"rotation":15,'
    b'"rectanglelabels":["cat"]}},{"id":"p","type":"polygonlabels","original_width":20,'
    b'"original_height":10,"value":{"points":[[1,1],[50,1],[50,50]],"polygonlabels":["dog"]}}]}]}]',
    "datumaro": b'{"info":{},"categories":{"label":{"labels":[{"name":"cat","parent":""}],'
    b'"attributes":[]}},"items":[{"id":"a","annotations":[{"id":0,"type":"bbox","attributes":{'
    b'"difficult":true},"group":0,"label_id":0,"z_order":0,"bbox":[1,2,8,6]},{"id":1,"type":'
    b'"polygon","label_id":0,"points":[1,1,5,1,5,5]}],"image":{"path":"a.png","size":[10,20]}}]}',
    "open-images": b"ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,"
    b'IsTruncated,IsGroupOf,IsDepiction,IsInside\na,xclick,/m/01,1,0.1,0.5,"0,2",0.8,0,1,0,0,0\n',
}
IMAGE = "a.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS, nargs="?")
    parser.add_argument("--runs", type=int, default=25_000)
    args, options = parser.parse_known_args()
    if args.target is None:
        for target in TARGETS:
            print(f"== {target}", flush=True)
            command = [sys.executable, __file__, target, "--runs", str(args.runs), *options]
            subprocess.run(command, check=True)  # noqa: S603 this script itself
        return
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 where Linux has it
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        os.environ["SIGHTLINE_CACHE"] = os.path.join(folder, "cache")
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        seeds = _seeds(args.target, Path(folder))
        for number, seed in enumerate(seeds):
            (corpus / str(number)).write_bytes(seed)
        words = Path(folder, "words")
        words.write_text(_dictionary(seeds))
        test = _test(args.target, Path(folder, "set"))
        defaults = [f"-runs={args.runs}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=8192"]
        atheris.Setup([sys.argv[0], *defaults, f"-dict={words}", *options, str(corpus)], test)
        atheris.Fuzz()


def _test(target: str, root: Path):  # type: ignore[no-untyped-def]  # atheris wants a closure
    name, _, _ = TARGETS[target]
    (root / name).parent.mkdir(parents=True)
    _picture(root / IMAGE)
    given = root / name if target == "zip" else root
    if target == "labelmap":  # a map matters only beside records
        records = _written("tfrecord", root.parent / "records")
        shutil.copyfile(next(records.glob("*.record")), root / "a.record")
    if target == "yaml":  # and a configuration beside labels
        (root / "labels").mkdir()
        (root / "labels/a.txt").write_text("0 0.5 0.5 0.25 0.25\n1 0.5 0.5 0.25 0.25\n")

    def test(data: bytes) -> None:
        (root / name).write_bytes(_framed(data) if target == "example" else data)
        if target in (
            "tfrecord",
            "example",
            "zip",
        ):  # their names would hit the cache of the last input
            shutil.rmtree(os.environ["SIGHTLINE_CACHE"], ignore_errors=True)
        try:
            dataset = Dataset.load(given, check_images=False)
        except SightlineError:
            return
        for record in dataset:
            edges = record.boxes_xyxy
            assert np.isfinite(edges).all() and (edges >= 0).all()
            assert (edges[:, 2] <= record.width).all() and (edges[:, 3] <= record.height).all()
            assert (edges[:, :2] < edges[:, 2:]).all()
            assert ((record.label_ids >= 0) & (record.label_ids < len(dataset.classes))).all()

    return test


def _seeds(target: str, folder: Path) -> list[bytes]:
    _, form, pattern = TARGETS[target]
    if form is None:
        return [SEEDS[target]]
    written = _written(form, folder / "seed")
    if target == "example":
        return [bytes(data) for _, data in read_records(next(written.rglob(pattern)))]  # type: ignore[arg-type]
    if pattern is not None:
        return [path.read_bytes() for path in written.rglob(pattern)]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in written.rglob("*.*"):
            archive.write(path, path.relative_to(written))
    return [packed.getvalue()]


def _dictionary(seeds: list[bytes]) -> str:
    """The words of the seeds, in libFuzzer's form: mutations insert them whole."""
    found = {word for seed in seeds for word in re.findall(rb'</?\w+>?|"\w+":?|\w{2,}|\S', seed)}
    escaped = ["".join(f"\\x{byte:02x}" for byte in word) for word in sorted(found)]
    return "".join(f'"{word}"\n' for word in escaped[:2000])


def _framed(data: bytes) -> bytes:
    file = io.BytesIO()
    write_record(file, data)
    return file.getvalue()


def _written(form: str, destination: Path) -> Path:
    """A data set of one picture and two boxes as our own writer writes it."""
    picture = destination.with_suffix(".png")
    _picture(picture)
    boxes_xyxy = np.array([[1, 2, 9, 8], [0.5, 0.25, 20, 10]])
    yes_no = np.array([True, False])
    record = Record(
        IMAGE, picture, 20, 10, boxes_xyxy, np.array([0, 1]), ~yes_no & yes_no,
        np.array([48.0, 190.125]), yes_no, ~yes_no,
    )  # fmt: skip
    dataset = Dataset(destination, "voc", ("cat", "two words"), (record,), {"train": (0,)}, ())
    dataset.save(destination, form)
    return destination


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), "teal").save(path)


if __name__ == "__main__":
    main()
