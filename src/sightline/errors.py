"""Every error Sightline raises on purpose, one leaf per cause that a user can act on.

    SightlineError
    ├── UsageError               wrong arguments (exit code 2)
    │   └── ConfigError          an unknown key or a value out of range
    ├── MissingExtra             an optional part is not installed; carries the pip line
    │   └── MissingBrowser       nor is a program that no pip line brings
    ├── ImageError               one image cannot be used
    │   ├── ImageNotFound
    │   ├── ImageUnreadable      empty, truncated, not an image, SVG
    │   └── ImageTooLarge        more pixels than allowed, seen in the header
    ├── SourceError              a video, camera or stream cannot be opened
    ├── DatasetError             a data set cannot be used
    │   ├── DatasetNotFound
    │   ├── DatasetUnrecognised  no known format at that path
    │   └── DatasetEmpty         no usable image, no box, or no such split
    ├── ModelError               a model cannot be used
    │   ├── ModelNotFound        no such bundle, run or zoo name
    │   ├── BundleDamaged        wrong sha256, truncated file, bad manifest
    │   ├── BundleTooNew         manifest of a later format version
    │   ├── ForeignModelError    a file of another program that cannot be imported
    │   └── WeightsUnavailable   weights are neither cached nor downloadable
    ├── TrainingError            training cannot start or go on
    ├── ExportError              an artefact could not be made or proven
    ├── PublishError             a page cannot be published there, or does not work
    └── ServerError              the server cannot start

A message says what was wrong, where, what was expected, and what to do.
"""

from __future__ import annotations


class SightlineError(Exception):
    """The root: `code` is stable and machine-readable, `exit_code` is the process's."""

    code = "error"
    exit_code = 1


class UsageError(SightlineError):
    code = "usage"
    exit_code = 2


class ConfigError(UsageError):
    code = "config"


class MissingExtra(SightlineError):
    code = "missing-extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the [{extra}] extra: pip install 'sightline[{extra}]'")


class MissingBrowser(MissingExtra):
    """Its message says which browsers will do."""

    def __init__(self, message: str) -> None:
        SightlineError.__init__(self, message)


class ImageError(SightlineError):
    code = "image"


class ImageNotFound(ImageError):
    code = "image-not-found"


class ImageUnreadable(ImageError):
    code = "image-unreadable"


class ImageTooLarge(ImageError):
    code = "image-too-large"


class SourceError(SightlineError):
    code = "source"


class DatasetError(SightlineError):
    code = "dataset"


class DatasetNotFound(DatasetError):
    code = "dataset-not-found"


class DatasetUnrecognised(DatasetError):
    code = "dataset-unrecognised"


class DatasetEmpty(DatasetError):
    code = "dataset-empty"


class ModelError(SightlineError):
    code = "model"


class ModelNotFound(ModelError):
    code = "model-not-found"


class BundleDamaged(ModelError):
    code = "bundle-damaged"


class BundleTooNew(ModelError):
    code = "bundle-too-new"


class ForeignModelError(ModelError):
    code = "foreign-model"


class WeightsUnavailable(ModelError):
    code = "weights-unavailable"


class TrainingError(SightlineError):
    code = "training"


class ExportError(SightlineError):
    code = "export"


class PublishError(SightlineError):
    code = "publish"


class ServerError(SightlineError):
    code = "server"
