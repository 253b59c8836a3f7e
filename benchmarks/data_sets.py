"""Reading annotations: seconds and peak memory, and other libraries on the same files.

    python benchmarks/data_sets.py [--images 100000] [--rounds 3] [--python VENV/bin/python]

The images are 640x480 JPEGs of 10 kB with 3 boxes each: one picture with a number as comment, so
that no two files are equal. The three formats share them by hard links. Each run is a process of
its own that loads a data set and counts its boxes, the import of the library not counted. With
--python, an environment that has supervision and Datumaro, their runs alternate with ours, and
ratios are of minima.

They do not do the same. Sightline reads every image's header, checks every box against it and
looks for byte-identical images; all files having one size here, it reads the end of each.
supervision decodes every image of a VOC set, reads the headers of a YOLO set and no image of a
COCO set. Datumaro reads the headers of a YOLO set, and no image of the others. Neither checks
boxes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

WIDTH, HEIGHT = 640, 480
CLASSES = ("bird", "car", "cat", "dog", "person")
Box = tuple[int, int, int, int, int]  # class, x1, y1, x2, y2

RUN = """
import json, sys, time
{imports}
begun = time.perf_counter()
{load}
seconds = time.perf_counter() - begun
peak = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({{"seconds": seconds, "peak_mib": peak, "boxes": boxes}}))
"""
OURS = RUN.format(
    imports="from sightline import Dataset",
    load="data = Dataset.load(sys.argv[1], check_images=False)\n"
    "boxes = sum(len(record.label_ids) for record in data)",
)
SUPERVISION = {
    form: RUN.format(
        imports="import supervision as sv\nroot = sys.argv[1]",
        load=f"data = sv.DetectionDataset.{call}\n"
        "boxes = sum(len(found) for found in data.annotations.values())",
    )
    for form, call in {
        "voc": "from_pascal_voc(root + '/JPEGImages', root + '/Annotations')",
        "coco": "from_coco(root + '/images/train', root + '/annotations/instances_train.json')",
        "yolo": "from_yolo(root + '/images/train', root + '/labels/train', root + '/data.yaml')",
    }.items()
}
DATUMARO = {
    form: RUN.format(
        imports="from datumaro.components.dataset import Dataset",
        load=f"data = Dataset.import_from(sys.argv[1], {form!r})\n"
        "boxes = sum(a.type.name == 'bbox' for item in data for a in item.annotations)",
    )
    for form in ("voc", "coco", "yolo")
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", help="of an environment that has supervision and Datumaro")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_sets(Path(folder), args.images)
        print(f"{args.images} images, 3 boxes each; best of {args.rounds}")
        print("| format | library | seconds | peak MiB | times ours |")
        print("|---|---|---|---|---|")
        for form in ("voc", "coco", "yolo"):
            scripts = {"sightline": (sys.executable, OURS)}
            if args.python:
                scripts["supervision"] = (args.python, SUPERVISION[form])
                scripts["datumaro"] = (args.python, DATUMARO[form])
            for line in rows(form, Path(folder, form), scripts, args.rounds, 3 * args.images):
                print(line, flush=True)


def rows(
    form: str, root: Path, scripts: dict[str, tuple[str, str]], rounds: int, boxes: int
) -> Iterable[str]:
    """A line of the table for each library, after all have run in turn."""
    runs: dict[str, list[dict[str, Any]]] = {library: [] for library in scripts}
    for _ in range(rounds):
        for library, (python, script) in scripts.items():
            command = [python, "-c", script, str(root)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[library].append(json.loads(done.stdout.splitlines()[-1]))
            if (found := runs[library][-1]["boxes"]) != boxes:
                raise SystemExit(f"{library} read {found} boxes of {boxes}")
    best = {library: min(done, key=lambda run: run["seconds"]) for library, done in runs.items()}
    for library, run in best.items():
        times = run["seconds"] / best["sightline"]["seconds"]
        seconds, peak_mib = run["seconds"], run["peak_mib"]
        yield f"| {form} | {library} | {seconds:.1f} | {peak_mib:.0f} | {times:.2f} |"


def make_sets(root: Path, count: int) -> None:
    """Folders voc, coco and yolo below `root`, as their own tools lay them out."""
    random.seed(0)
    boxes = [[random_box() for _ in range(3)] for _ in range(count)]
    write_images(
        [root / "voc/JPEGImages", root / "coco/images/train", root / "yolo/images/train"], count
    )
    write_voc(root / "voc", boxes)
    write_coco(root / "coco", boxes)
    write_yolo(root / "yolo", boxes)


def random_box() -> Box:
    x1, y1 = random.randint(0, 500), random.randint(0, 400)
    label = random.randrange(len(CLASSES))
    return label, x1, y1, x1 + random.randint(5, 139), y1 + random.randint(5, 79)


def write_images(folders: list[Path], count: int) -> None:
    packed = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((WIDTH, HEIGHT)).save(packed, "JPEG")
    start, end = packed.getvalue()[:-2], packed.getvalue()[-2:]
    for folder in folders:
        folder.mkdir(parents=True)
    for index in range(count):
        first = folders[0] / f"{index:06d}.jpg"
        first.write_bytes(start + b"\xff\xfe\x00\x08%06d" % index + end)
        for folder in folders[1:]:
            os.link(first, folder / first.name)


def write_voc(root: Path, boxes: list[list[Box]]) -> None:
    (root / "Annotations").mkdir()
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("".join(f"{index:06d}\n" for index in range(len(boxes))))
    for index, of_image in enumerate(boxes):
        objects = "".join(
            f"\t<object>\n\t\t<name>{CLASSES[label]}</name>\n\t\t<pose>Unspecified</pose>\n"
            "\t\t<truncated>0</truncated>\n\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
            f"\t\t\t<xmin>{x1}</xmin>\n\t\t\t<ymin>{y1}</ymin>\n"
            f"\t\t\t<xmax>{x2}</xmax>\n\t\t\t<ymax>{y2}</ymax>\n\t\t</bndbox>\n\t</object>\n"
            for label, x1, y1, x2, y2 in of_image
        )
        (root / "Annotations" / f"{index:06d}.xml").write_text(
            "<annotation>\n\t<folder>images</folder>\n"
            f"\t<filename>{index:06d}.jpg</filename>\n\t<path>/home/me/{index:06d}.jpg</path>\n"
            "\t<source>\n\t\t<database>Unknown</database>\n\t</source>\n"
            f"\t<size>\n\t\t<width>{WIDTH}</width>\n\t\t<height>{HEIGHT}</height>\n"
            "\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n"
            f"{objects}</annotation>\n"
        )


def write_coco(root: Path, boxes: list[list[Box]]) -> None:
    annotations = [
        {
            "id": 3 * index + number + 1,
            "image_id": index + 1,
            "category_id": label + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
            "segmentation": [],
        }
        for index, of_image in enumerate(boxes)
        for number, (label, x1, y1, x2, y2) in enumerate(of_image)
    ]
    images = [
        {"id": index + 1, "file_name": f"{index:06d}.jpg", "width": WIDTH, "height": HEIGHT}
        for index in range(len(boxes))
    ]
    categories = [
        {"id": index + 1, "name": name, "supercategory": ""} for index, name in enumerate(CLASSES)
    ]
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_train.json").write_text(text)


def write_yolo(root: Path, boxes: list[list[Box]]) -> None:
    names = ", ".join(CLASSES)
    (root / "data.yaml").write_text(f"train: images/train\nnc: {len(CLASSES)}\nnames: [{names}]\n")
    labels = root / "labels" / "train"
    labels.mkdir(parents=True)
    for index, of_image in enumerate(boxes):
        lines = (
            f"{label} {(x1 + x2) / 2 / WIDTH:.6f} {(y1 + y2) / 2 / HEIGHT:.6f} "
            f"{(x2 - x1) / WIDTH:.6f} {(y2 - y1) / HEIGHT:.6f}\n"
            for label, x1, y1, x2, y2 in of_image
        )
        (labels / f"{index:06d}.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
