"""Cases made from a server's OpenAPI document, sent to it: anything undocumented is a fault.

    sightline serve deimv2-atto --max-sessions 8 &
    python tools/fuzz_api.py http://127.0.0.1:8000 [--cases 10000] [--seed 0]

Half of the cases fit the document, half do not. Each answer must be of a documented status, type,
shape and headers, and no answer may be a fault of the server (5xx). Real models, images and
tensors are mixed in, so that cases get beyond the first check. Exits 1 if anything was found.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    allow_header_conformance,
]
ROUND = 40  # cases of one operation in a row
TIMEOUT_S = 20.0


@schemathesis.serializer("application/sdp", "image/*")
def send_as_it_is(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def make_pieces(model: str) -> dict[str, Any]:
    """Right values, to be mixed with made up ones."""
    picture = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((48, 32)).save(picture, "JPEG")
    tensor = {"name": "image", "shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [0, 255] * 6}
    return {
        "model": model,
        "files": ["model.onnx", "manifest.json", "model.json"],
        "picture": picture.getvalue(),
        "tensor": tensor,
    }


def mix_in(case: Any, pieces: dict[str, Any], draw: int) -> None:
    """Replace parts of a case by right ones, by the bits of `draw`."""
    if draw & 1 and "name" in case.path_parameters:
        case.path_parameters["name"] = pieces["model"]
    if draw & 2 and "file" in case.path_parameters:
        case.path_parameters["file"] = pieces["files"][draw % len(pieces["files"])]
    if draw & 4 and isinstance(case.body, dict) and "inputs" in case.body:
        tensor = dict(pieces["tensor"])
        made_up = case.body["inputs"]
        if draw & 8 and isinstance(made_up, list) and made_up and isinstance(made_up[0], dict):
            tensor |= {key: made_up[0][key] for key in ("shape", "data") if key in made_up[0]}
        case.body["inputs"] = [tensor]
    elif draw & 4 and isinstance(case.body, dict) and "image" in case.body:
        case.body["image"] = pieces["picture"]
    elif draw & 4 and isinstance(case.body, bytes):
        case.body = pieces["picture"][: None if draw & 8 else draw * 8]


def fuzz(operation: Any, mode: GenerationMode, seed: int, send: Any) -> None:
    """Up to ROUND cases of an operation. Raises what `send` raises, for the smallest such case."""

    @seeded(seed)
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(operation.as_strategy(generation_mode=mode), st.integers(0, 15))
    def run(case: Any, draw: int) -> None:
        send(case, draw)

    run()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of a running server")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    url = args.url.rstrip("/")
    with requests.Session() as session:
        model = session.get(f"{url}/v1/models", timeout=TIMEOUT_S).json()["default"]
        pieces = make_pieces(model)
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        operations = [result.ok() for result in schema.get_all_operations()]
        answers: Counter[int] = Counter()
        faults: dict[str, str] = {}

        def send(case: Any, draw: int) -> None:
            mix_in(case, pieces, draw)
            answer = case.call(base_url=url, session=session, timeout=TIMEOUT_S)
            answers[answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        seed, start = args.seed, time.monotonic()
        while answers.total() < args.cases and len(faults) < len(operations):
            for operation in operations:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    if operation.label in faults or answers.total() >= args.cases:
                        continue
                    try:
                        fuzz(operation, mode, seed, send)
                    except Unsatisfiable:
                        continue  # it takes nothing, so nothing can be wrong
                    except (FailureGroup, requests.RequestException) as error:
                        faults[operation.label] = str(error)
            seed += 1
            print(f"{answers.total()} cases in {time.monotonic() - start:.0f} s", file=sys.stderr)
    for label, text in faults.items():
        print(f"\n{label}\n{text}")
    print(f"{answers.total()} cases, {len(operations)} operations, {len(faults)} with faults")
    print(
        "answers: " + ", ".join(f"{count} x {status}" for status, count in sorted(answers.items()))
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
