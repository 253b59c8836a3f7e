"""Stage configurations: frozen dataclasses whose fields are the only place of a default.

Command-line flags, TOML keys and the table in docs/ are derived from the fields, so that a name
or default exists once. `option` attaches the help text and range that all of them show.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from sightline.errors import ConfigError

C = TypeVar("C")


def option(
    default: Any, help: str, *, low: float | None = None, choices: tuple[str, ...] | None = None
) -> Any:
    """A dataclass field with a help line and, where it has one, its least value or choices."""
    return dataclasses.field(
        default=default, metadata={"help": help, "low": low, "choices": choices}
    )


def value_type(owner: type, field: dataclasses.Field[Any]) -> type:
    """The field's type with None taken off: int | None gives int. tuple[str, ...] gives tuple."""
    hint = typing.get_type_hints(owner)[field.name]
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    return typing.cast(type, typing.get_origin(hint) or hint)


def make_config(kind: type[C], values: Mapping[str, Any]) -> C:
    """A config from named values (None means the default), checked.

    Raises ConfigError for an unknown key, naming the nearest, a wrong type or a value too low.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    accepted: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            near = get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}"
            raise ConfigError(f"unknown setting {key!r}; {hint}")
        if value is None:
            continue
        accepted[key] = _checked(kind, fields[key], value)
    return kind(**accepted)


def _checked(owner: type, field: dataclasses.Field[Any], value: Any) -> Any:
    wanted = value_type(owner, field)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if wanted is tuple and isinstance(value, list):
        value = tuple(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ConfigError(f"{field.name} takes a {wanted.__name__}, not {value!r}")
    low, choices = field.metadata.get("low"), field.metadata.get("choices")
    if low is not None and not value >= low:
        raise ConfigError(f"{field.name} is at least {low}, not {value}")
    if choices is not None and value not in choices:
        raise ConfigError(f"{field.name} is one of {', '.join(choices)}, not {value!r}")
    return value
