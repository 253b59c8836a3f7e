"""Flags derived from a config dataclass."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from sightline.config import value_type


def add_config_flags(parser: argparse.ArgumentParser, kind: type) -> None:
    """One --flag a field, with the field's help, choices and default shown."""
    for field in dataclasses.fields(kind):
        flag = "--" + field.name.replace("_", "-")
        wanted = value_type(kind, field)
        default = "" if field.default in (None, ()) else f" (default {field.default})"
        help_line = field.metadata.get("help", "") + default
        if wanted is bool:
            parser.add_argument(flag, action="store_true", default=None, help=help_line)
            continue
        if wanted is tuple:
            parser.add_argument(flag, action="append", default=None, metavar="TEXT", help=help_line)
            continue
        parser.add_argument(
            flag,
            type=wanted,
            default=None,
            choices=field.metadata.get("choices"),
            metavar=None if field.metadata.get("choices") else wanted.__name__.upper(),
            help=help_line,
        )


def config_values(args: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The values given on the command line for the fields of `kind`; None where not given."""
    return {field.name: getattr(args, field.name) for field in dataclasses.fields(kind)}
