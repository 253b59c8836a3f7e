"""Tensors of the Open Inference Protocol: requests parsed, images opened, outputs written.

Binary tensors: little-endian, row by row; a BYTES element is four bytes of length and the bytes.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np
from PIL import Image

from sightline.data.images import MAX_EDGE, MAX_PIXELS, decode_image
from sightline.detections import Detections
from sightline.errors import ImageTooLarge
from sightline.server.errors import RequestRefused

MAX_HEADER = 2**16  # bytes of JSON, not counting the image in it
_INPUT = "image"
_OPTION_NAMES = ("threshold", "labels", "max", "track", "motion")
_OUTPUTS = {"boxes": "FP32", "scores": "FP32", "labels": "INT32", "names": "BYTES"}

_Level = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Row = list[list[_Level]]
_flat = msgspec.json.Decoder(list[_Level])
_nested = msgspec.json.Decoder(list[list[_Row]])
_One = msgspec.Meta(min_length=1, max_length=1)
_text = msgspec.json.Decoder(Annotated[list[str | Annotated[list[str], _One]], _One])


Parameters = dict[str, str | int | float | bool | None]


class InputTensor(msgspec.Struct):
    """`data` is read by the worker that needs it: it may be megabytes of numbers."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters = {}
    data: msgspec.Raw = msgspec.Raw()


class WantedOutput(msgspec.Struct):
    name: str
    parameters: Parameters = {}


class InferRequest(msgspec.Struct):
    inputs: tuple[InputTensor]
    id: str | None = None
    parameters: Parameters = {}
    outputs: list[WantedOutput] = []

    def options(self) -> dict[str, Any]:
        """What read_options takes."""
        return {key: self.parameters[key] for key in _OPTION_NAMES if key in self.parameters}


class _OnlyData(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()


class _Outline(msgspec.Struct):
    """Of a request, read first: the rest of it must be small, as all of it becomes objects."""

    inputs: tuple[_OnlyData]


_outline = msgspec.json.Decoder(_Outline)
_request = msgspec.json.Decoder(InferRequest)


def describe_inputs() -> list[dict[str, Any]]:
    """The input as a model's metadata has it; -1 is any size."""
    return [{"name": _INPUT, "datatype": "UINT8", "shape": [1, -1, -1, 3]}]


def describe_outputs() -> list[dict[str, Any]]:
    """The outputs as a model's metadata has them; -1 is the number of objects."""
    return [
        {"name": name, "datatype": kind, "shape": [1, -1, 4] if name == "boxes" else [1, -1]}
        for name, kind in _OUTPUTS.items()
    ]


def read_tensors(content: bytes) -> InferRequest:
    """The request of one image. Raises RequestRefused."""
    try:
        (part,) = _outline.decode(content).inputs
        if len(content) - len(bytes(part.data)) > MAX_HEADER:
            raise _invalid("parameters", f"at most {MAX_HEADER // 1024} KiB beside data")
        asked = _request.decode(content)
    except msgspec.ValidationError as error:
        raise RequestRefused("invalid-request", str(error)) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RequestRefused(
            "malformed-request", "The body is no JSON that can be read."
        ) from error
    if [tensor.name for tensor in asked.inputs] != [_INPUT]:
        raise _invalid("inputs", f"one tensor of the name {_INPUT}")
    unknown = [wanted.name for wanted in asked.outputs if wanted.name not in _OUTPUTS]
    if unknown or len(asked.outputs) > len(_OUTPUTS):
        raise _invalid("outputs", f"names among {', '.join(_OUTPUTS)}")
    for parameters in (each.parameters for part in (asked.inputs, asked.outputs) for each in part):
        if "shared_memory_region" in parameters or parameters.get("classification"):
            raise _invalid("parameters", "no shared memory and no classification")
    return asked


def open_tensor(
    tensor: InputTensor, read_binary: Callable[[], bytes] | None
) -> Callable[[], Image.Image]:
    """What decodes the tensor to a picture, in a worker; it raises RequestRefused or ImageError.

    read_binary: reads what follows the JSON; None where nothing can. Raises RequestRefused for a
    shape or size that does not fit.
    """
    size = tensor.parameters.get("binary_data_size")
    if size is not None and (read_binary is None or type(size) is not int or size < 0):
        raise _invalid("binary_data_size", "the number of bytes after the JSON")
    if size is None and not bytes(tensor.data):
        raise _invalid(_INPUT, "data, or binary_data_size and bytes after the JSON")

    def binary() -> bytes | None:
        if size is None:
            return None
        assert read_binary is not None
        content = read_binary()
        if len(content) != size:
            raise _invalid("binary_data_size", f"the {len(content)} bytes that follow the JSON")
        return content

    if tensor.datatype == "BYTES":
        if tensor.shape not in ([1], [1, 1]):
            raise _invalid("shape", "[1] for one image file")
        return lambda: _open_file(tensor, binary())
    if tensor.datatype != "UINT8":
        raise _invalid("datatype", "UINT8 (pixels) or BYTES (an image file)")
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.shape[3] != 3:
        raise _invalid("shape", "[1, height, width, 3]: one RGB image")
    _, height, width, _ = tensor.shape
    if height < 1 or width < 1:
        raise _invalid("shape", "a height and width of at least 1")
    if max(height, width) > MAX_EDGE or height * width > MAX_PIXELS:
        raise ImageTooLarge(
            f"the image: {width}x{height} pixels; up to {MAX_PIXELS / 1e6:g} megapixels and "
            f"{MAX_EDGE} on a side are taken"
        )
    return lambda: _open_pixels(tensor, width, height, binary())


def write_outputs(
    found: Detections, asked: InferRequest
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The outputs asked for, or all, and the bytes that follow the JSON, in the same order."""
    arrays = {
        "boxes": found.boxes_xyxy.astype("<f4", copy=False),
        "scores": found.scores.astype("<f4", copy=False),
        "labels": found.label_ids.astype("<i4", copy=False),
    }
    wanted = asked.outputs or [WantedOutput(name) for name in _OUTPUTS]
    is_binary_usual = asked.parameters.get("binary_data_output") is True
    outputs, binary = [], []
    for each in wanted:
        shape = [1, len(found), 4] if each.name == "boxes" else [1, len(found)]
        output: dict[str, Any] = {
            "name": each.name,
            "datatype": _OUTPUTS[each.name],
            "shape": shape,
        }
        is_binary = each.parameters.get("binary_data", is_binary_usual) is True
        if is_binary:
            content = (
                b"".join(_element(name) for name in found.labels)
                if each.name == "names"
                else arrays[each.name].tobytes()
            )
            output["parameters"] = {"binary_data_size": len(content)}
            binary.append(content)
        elif each.name == "names":
            output["data"] = found.labels
        else:
            output["data"] = arrays[each.name].ravel().tolist()
        outputs.append(output)
    return outputs, binary


def _open_file(tensor: InputTensor, content: bytes | None) -> Image.Image:
    if content is None:
        try:
            (text,) = _text.decode(tensor.data)
            image = base64.b64decode(text if isinstance(text, str) else text[0], validate=True)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise _invalid("data", "one image file as base64 text") from error
    else:
        if len(content) < 4 or struct.unpack_from("<I", content)[0] != len(content) - 4:
            raise _invalid(_INPUT, "four bytes of length, then so many of the image file")
        image = content[4:]
    return decode_image(image, name="the image")


def _open_pixels(
    tensor: InputTensor, width: int, height: int, content: bytes | None
) -> Image.Image:
    count = width * height * 3
    if content is None:
        content = _levels(tensor)
    if len(content) != count:
        raise _invalid(_INPUT, f"{count} values, as its shape says, not {len(content)}")
    return Image.frombytes("RGB", (width, height), content)


def _levels(tensor: InputTensor) -> bytes:
    """The numbers of JSON, flat or nested as the shape says, row by row."""
    text = bytes(tensor.data)
    is_nested = text[1:].lstrip()[:1] == b"["
    try:
        if not is_nested:
            return bytes(_flat.decode(text))
        values = np.array(_nested.decode(text), np.uint8)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise _invalid("data", "whole numbers in 0..255, flat or nested as the shape") from error
    if values.shape != tuple(tensor.shape):
        raise _invalid("data", "numbers nested as the shape")
    return values.tobytes()


def _element(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<I", len(encoded)) + encoded


def _invalid(field: str, expected: str) -> RequestRefused:
    return RequestRefused("invalid-request", f"{field}: {expected} is expected")
