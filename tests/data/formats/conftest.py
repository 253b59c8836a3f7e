"""Documents of other tools with one value changed: what readers of JSON must stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

Change = Callable[[Any], st.SearchStrategy[tuple[Any, bool]]]

_MISSING = object()
_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**400, -1e400])
    | st.text(st.characters(), max_size=5),
    lambda values: (
        st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=5), values, max_size=3)
    ),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(entry, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    if copy[path[0]] is _MISSING:
        del copy[path[0]]
    return copy


def _kind(value: Any) -> Any:
    return float if type(value) in (int, float) else type(value)


@st.composite
def _changed(draw: st.DrawFn, document: Any) -> tuple[Any, bool]:
    path = draw(st.sampled_from(list(_places(document))))
    value, parent = document, None
    for key in path:
        value, parent = value[key], value
    dropped = st.just(_MISSING) if isinstance(parent, dict) else st.nothing()
    new = draw(_ANYTHING | dropped)
    return _replaced(document, path, new), _kind(new) == _kind(value)


@pytest.fixture(scope="session")
def changed() -> Change:
    """(document) gives a strategy: the document with one value, anywhere in it, made another.

    Also whether it is of the kind it was, which may well be right: another number, another text.
    """
    return _changed
