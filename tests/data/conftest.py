"""Small data sets made on the spot, and how two data sets are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data.dataset import Dataset


def _write_photo(path: Path, width: int = 40, height: int = 30, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(noise).resize((width, height)).save(path, "JPEG")


def _voc_object(name: str, *corners: object) -> str:
    tags = "".join(
        f"<{tag}>{corner}</{tag}>"
        for tag, corner in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name><bndbox>{tags}</bndbox></object>"


def _boxes_by_image(dataset: Dataset) -> dict[str, list[tuple[object, ...]]]:
    found: dict[str, list[tuple[object, ...]]] = {}
    for name, record in zip(dataset.names, dataset.records, strict=True):
        boxes = sorted(
            (dataset.classes[label], *box, crowd, area)
            for label, box, crowd, area in zip(
                record.label_ids.tolist(),
                record.boxes_xyxy.tolist(),
                record.is_crowd.tolist(),
                record.area.tolist(),
                strict=True,
            )
        )
        found[name.rpartition("/")[2]] = [(record.width, record.height), *boxes]
    return found


@pytest.fixture(scope="session", autouse=True)
def data_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache that archives are unpacked to, away from the user's own."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="session")
def write_photo() -> Callable[..., None]:
    """(path, width=40, height=30, seed=0) writes a JPEG of soft noise, other for other seeds."""
    return _write_photo


@pytest.fixture(scope="session")
def voc_object() -> Callable[..., str]:
    """(class, x1, y1, x2, y2) gives the XML of an <object>."""
    return _voc_object


@pytest.fixture(scope="session")
def boxes_by_image() -> Callable[[Dataset], dict[str, list[tuple[object, ...]]]]:
    """Last part of each image's name -> its size, then (class, x1, y1, x2, y2, crowd, area)."""
    return _boxes_by_image


@pytest.fixture
def make_voc(tmp_path: Path) -> Callable[[Mapping[str, str | None]], Path]:
    """(image name -> its <object>s, None for no XML file) gives a Pascal VOC folder, 40x30 px."""

    def make(images: Mapping[str, str | None]) -> Path:
        root = tmp_path / "set"
        (root / "Annotations").mkdir(parents=True)
        for seed, (name, objects) in enumerate(images.items()):
            _write_photo(root / "JPEGImages" / name, seed=seed)
            if objects is not None:
                text = f"<annotation><filename>{name}</filename>{objects}</annotation>"
                xml = root / "Annotations" / Path(name).with_suffix(".xml").name
                xml.write_text(text, encoding="utf-8")
        return root

    return make


@pytest.fixture
def make_set(
    tmp_path: Path, write_photo: Callable[..., None]
) -> Callable[[Mapping[str, str | None]], Path]:
    """(path -> text, None for a photo of 40x30 px) gives a folder with these files."""

    def make(files: Mapping[str, str | None]) -> Path:
        root = tmp_path / "set"
        for seed, (name, text) in enumerate(files.items()):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                write_photo(path, seed=seed)
            else:
                path.write_text(text, encoding="utf-8")
        return root

    return make
