"""The error shape: schema, table and code say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx

from sightline.server import errors
from sightline.server.errors import STATUS_OF_CODE, problem, problem_response


def test_schema_documentation_and_code_agree(contracts: Path) -> None:
    schema = json.loads((contracts / "error.schema.json").read_text())
    assert schema["properties"]["code"]["enum"] == list(STATUS_OF_CODE)
    table = re.findall(r"^    ([a-z-]+) +(\d{3})\b", errors.__doc__ or "", re.MULTILINE)
    assert {code: int(status) for code, status in table} == STATUS_OF_CODE


def test_problem_by_hand() -> None:
    assert problem("token-required", "Show it.") == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Show it.",
        "code": "token-required",
    }


def test_unknown_addresses_and_methods(client: httpx.Client, check_problem: Any) -> None:
    for path in ("/nothing", "/models/none/model.onnx", "/assets/x.js", "/%00", "/..%2f..%2fx"):
        check_problem(client.get(path), "not-found")
    for method in ("PUT", "DELETE", "PATCH"):
        check_problem(client.request(method, "/image"), "method-not-allowed")


def test_what_is_no_text_can_be_quoted() -> None:
    response = problem_response("invalid-request", "labels: no \ud800 here")
    assert json.loads(response.body)["detail"] == "labels: no ? here"
