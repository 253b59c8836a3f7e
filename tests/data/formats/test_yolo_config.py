"""YOLO's data.yaml, lists of class names, and the splits that they and folder names declare."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.data.dataset import Dataset

Make = Callable[..., Any]

ROW = "0 0.5 0.5 0.5 0.4\n"


def codes(dataset: Dataset) -> set[tuple[str, str, int | None]]:
    """(code, file, line) of what the reader found; what counts of classes say is not its own."""
    return {
        (p.code, p.file, p.line)
        for p in dataset.problems
        if p.code not in ("class-unused", "class-few", "no-boxes", "box-tiny", "split-none")
    }


def splits_by_name(dataset: Dataset) -> dict[str, list[str]]:
    return {s: [dataset.names[i] for i in indices] for s, indices in dataset.splits.items()}


class TestNames:
    def load(self, make_set: Make, **files: str) -> Dataset:
        named = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
        return Dataset.load(make_set({"images/a.jpg": None, **named}))

    @pytest.mark.parametrize(
        ("text", "classes"),
        [
            ("names: [a, b]", ("a", "b")),
            ("names: {1: b, 0: a}", ("a", "b")),
            ("names:\n  0: a\n  2: c\n", ("a", "c")),
            ("names: [yes, 1, null, 1.0, 2020-01-01]", ("yes", "1", "null", "1.0", "2020-01-01")),
            ("names: ['a: b', \"\\u00e9\", имя]", ("a: b", "é", "имя")),
            ("\ufeffnames: ['  two   words ']", ("two words",)),
            ("train: images\nnc: 3", ("0",)),
            ("train: images\nnames:", ("0",)),
            ("train: images\nnames: some.txt", ("0",)),
        ],
    )
    def test_of_data_yaml(self, make_set: Make, text: str, classes: tuple[str, ...]) -> None:
        assert self.load(make_set, labels__a_txt=ROW, data_yaml=text).classes == classes

    @pytest.mark.parametrize(
        ("text", "code", "line"),
        [
            ("nc: 3\nnames: [a, b]", "class-count-differs", 1),
            ("names: [a, a]", "category-repeated", None),
            ("names:\n- a\n- ''", "category-damaged", 3),
            ("names:\n- a\n- [b]", "category-damaged", 3),
            ("names:\n  0: a\n  x: b", "category-damaged", 3),
            ("names:\n  0: a\n  -1: b", "category-damaged", 3),
            ("names:\n  0: a\n  0: b", "id-repeated", 3),
            ("names: [a]\nb: *c", "yaml-damaged", 2),
            ("names: [a]\nb: &c [d]\ne: *c", "yaml-damaged", 3),
            ("names: [a\nb: c", "yaml-damaged", 2),
            ("names: a: b", "yaml-damaged", 1),
            ("names: [a]\n--- \nnames: [b]", "yaml-damaged", 2),
            ("names: " + "[" * 100_000, "yaml-damaged", None),
            ("names: [\0]", "yaml-damaged", None),
            ('names: ["\\Uffffffff"]', "yaml-damaged", None),
            ("%YAML 1." + "1" * 5000 + "\n---\nnames: [a]", "yaml-damaged", None),
            ("names: [" + "a" * 2**20 + "]", "file-too-large", None),
        ],
    )
    def test_faults_of_data_yaml(
        self, make_set: Make, text: str, code: str, line: int | None
    ) -> None:
        dataset = self.load(make_set, labels__a_txt=ROW, data_yaml=text)
        assert (code, "data.yaml", line) in codes(dataset)
        assert len(dataset.records[0].label_ids) == 1

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ('path: "C:\\Users\\me"\nnames: [a, b]', 1),
            ('names: [a, b]\npath: "C:\\x\\"', 2),
            ("names:\n\t0: a\n\t1: b", 2),
        ],
    )
    def test_what_people_write_on_windows(self, make_set: Make, text: str, line: int) -> None:
        dataset = self.load(make_set, labels__a_txt=ROW, data_yaml=text)
        assert dataset.classes == ("a", "b")
        [problem] = [p for p in dataset.problems if p.code == "yaml-damaged"]
        assert (problem.severity, problem.file, problem.line) == ("warning", "data.yaml", line)
        assert "write / for \\, and blanks for tabs" in problem.message

    def test_a_gap_is_no_class(self, make_set: Make) -> None:
        text = ROW + ROW.replace("0 ", "1 ", 1) + ROW.replace("0 ", "2 ", 1)
        dataset = self.load(make_set, labels__a_txt=text, data_yaml="names: {0: a, 2: c}")
        assert dataset.box_counts == {"a": 1, "c": 1}
        assert codes(dataset) == {("category-unknown", "labels/a.txt", 2)}

    def test_repeated_names_are_one_class(self, make_set: Make) -> None:
        text = ROW + "1 0.2 0.2 0.1 0.1\n2 0.8 0.8 0.1 0.1\n"
        dataset = self.load(make_set, labels__a_txt=text, data_yaml="names: [b, a, b]")
        assert dataset.classes == ("b", "a")
        assert dataset.box_counts == {"b": 2, "a": 1}

    def test_utf16_as_windows_writes_it(self, make_set: Make) -> None:
        root = make_set({"images/a.jpg": None, "labels/a.txt": ROW})
        (root / "classes.txt").write_bytes("зебра\r\n".encode("utf-16"))
        assert Dataset.load(root).classes == ("зебра",)

    @pytest.mark.parametrize("file", ["classes.txt", "labels/classes.txt", "obj.names"])
    def test_of_a_list(self, make_set: Make, file: str) -> None:
        root = make_set(
            {"images/a.jpg": None, "labels/a.txt": ROW, file: "\ufeffzebra \n\nant\n\n"}
        )
        assert Dataset.load(root).classes == ("zebra", "1", "ant")

    def test_each_folder_has_its_own_list(self, make_set: Make) -> None:
        # LabelImg writes one wherever it saves, in the order in which classes were first used.
        root = make_set(
            {
                "x/a.jpg": None,
                "x/a.txt": ROW,
                "x/classes.txt": "cat\ndog\n",
                "y/b.jpg": None,
                "y/b.txt": ROW,
                "y/classes.txt": "dog\ncat\n",
            }
        )
        dataset = Dataset.load(root)
        assert [dataset.classes[record.label_ids[0]] for record in dataset] == ["cat", "dog"]

    def test_numbers_where_nobody_names_them(self, make_set: Make) -> None:
        text = "10 0.5 0.5 0.1 0.1\n9 0.5 0.5 0.2 0.2\n9.0 0.2 0.2 0.1 0.1\n"
        dataset = self.load(make_set, labels__a_txt=text, images__b_txt=ROW)
        assert dataset.box_counts == {"9": 2, "10": 1}
        assert list(dataset.classes) == ["9", "10"]
        assert [p.code for p in dataset.problems].count("classes-unnamed") == 1


class TestSplits:
    IMAGES = ("images/train/a.jpg", "images/val/b.jpg", "images/test/c.jpg")

    def load(self, make_set: Make, text: str, **more: str) -> Dataset:
        files: dict[str, str | None] = dict.fromkeys(self.IMAGES)
        for image in self.IMAGES:
            files[image.replace("images", "labels").replace("jpg", "txt")] = ROW
        lists = {name.replace("_", "."): content for name, content in more.items()}
        return Dataset.load(make_set({**files, "data.yaml": f"names: [x]\n{text}", **lists}))

    @pytest.mark.parametrize(
        "text",
        [
            "train: images/train\nval: images/val",
            "train: ./images/train/\nvalid: images/val",
            "path: ../datasets/set\ntrain: images/train\nval: images/val",
            "path: .\ntrain: images/train\nval: images/val",
            "train: ../images/train\nval: ../images/val",
            "train: /home/me/set/images/train\nval: /home/me/set/images/val",
            "train: C:\\me\\images\\train\nval: D:\\images\\val",
            "train: [images/train]\nval: [images/val, '']\ntest:",
            "train: a.txt\nval: b.txt",
            "path: /content\ntrain: /content/x/a.txt\nval: [b.txt]\ntest: null",
        ],
    )
    def test_ways_to_say_it(self, make_set: Make, text: str) -> None:
        dataset = self.load(
            make_set, text, a_txt="./images/train/a.jpg\n\n", b_txt="D:\\z\\images\\val\\b.jpg\n"
        )
        assert splits_by_name(dataset) == {"train": [self.IMAGES[0]], "val": [self.IMAGES[1]]}
        assert codes(dataset) == set()
        assert len(dataset) == 3

    def test_an_empty_split_is_one(self, make_set: Make) -> None:
        dataset = self.load(make_set, "train: images/train\nval: []")
        assert splits_by_name(dataset) == {"train": [self.IMAGES[0]], "val": []}

    def test_folders_that_are_not_there(self, make_set: Make) -> None:
        dataset = self.load(
            make_set, "train: ../../x/images/training\nval: images/dev\ntest: t.txt"
        )
        lost = {line for code, _, line in codes(dataset) if code == "split-missing"}
        assert lost == {2, 3, 4}
        assert list(dataset.splits) == ["train", "val", "test"]  # by the folders' names
        assert all(len(indices) == 1 for indices in dataset.splits.values())

    def test_no_images_of_another_split_are_taken(self, make_set: Make) -> None:
        root = make_set({"images/a.jpg": None, "labels/a.txt": ROW, "l.txt": "../val/a.jpg"})
        text = "names: [x]\ntrain: ../train/images\nval: ../valid/images\ntest: l.txt"
        (root / "data.yaml").write_text(text)
        dataset = Dataset.load(root)
        assert splits_by_name(dataset) == {"test": ["images/a.jpg"]}
        assert [p.line for p in dataset.problems if p.code == "split-missing"] == [2, 3]

    def test_lines_of_lists_that_mean_nothing(self, make_set: Make) -> None:
        text = "images/train/a.jpg\nimages/train/zebra.jpg\n/etc/passwd\nimages/train/b.jpg\n"
        dataset = self.load(make_set, "train: a.txt", a_txt=text)
        assert splits_by_name(dataset) == {"train": [self.IMAGES[0]]}
        assert codes(dataset) == {("split-unknown", "a.txt", line) for line in (2, 3, 4)}

    def test_an_image_in_two_splits(self, make_set: Make) -> None:
        dataset = self.load(make_set, "train: images/train\nval: [images/train, images/val]")
        assert dataset.splits == {"train": (1,), "val": (1, 2)}
        assert "split-overlap" in {problem.code for problem in dataset.problems}

    def test_nothing_outside_is_opened(self, make_set: Make, tmp_path: Path) -> None:
        secret = tmp_path / "secret.txt"
        secret.write_text("images/train/a.jpg\n")
        os.chmod(secret, 0)
        dataset = self.load(make_set, f"train: ../secret.txt\nval: {secret}\nnames2: {secret}")
        assert [p.line for p in dataset.problems if p.code == "split-missing"] == [2, 3]
        assert "file-unreadable" not in {problem.code for problem in dataset.problems}

    def test_names_of_splits_cannot_lead_out(self, make_set: Make) -> None:
        text = "train: images/train\n../val: images/../val\nfold1: images/fold1\nflip: images/x"
        assert list(self.load(make_set, text).splits) == ["train"]
