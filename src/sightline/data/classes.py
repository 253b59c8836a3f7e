"""Names and numbers of classes: misspelt, unused, too few boxes. Knows no images and no files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from sightline.data.records import Problem, Severity

# A class with fewer boxes cannot be learned, nor its AP be told from chance.
FEW_BOXES = 10
# Commonest class to rarest: from here on the data set is called out of balance.
_IMBALANCE = 10
# How many times rarer a misspelling is than what was meant, at least; and where the names alone
# say less ("dog" may well stand beside "hot dog").
_RARER, _MUCH_RARER = 3, 6
_NAMED = 5  # classes in one message

# Between two characters of which one at least is a letter: "traffic_light", "type 2", not "1.5".
_SEPARATOR = re.compile(r"(?<=[^\W\d_])[\s_.-]+(?=[^\W_])|(?<=\d)[\s_.-]+(?=[^\W\d_])")
_SHORTEST_MISSPELT = 5  # letters: "cat", "car" and "cow", "boat" and "goat" are not misspelt
_SHORTEST_PLURAL = 3
_NEGATIONS = {"no", "not", "non", "without"}


def check_classes(counts: Mapping[str, int]) -> list[Problem]:
    """What is odd about classes, from the number of boxes of each, by name."""
    if not any(counts.values()):
        return [_problem("error", "no-boxes", "not one box in the whole data set")]
    likely = dict(_find_misspelt(counts))
    problems = []
    for name, count in counts.items():
        meant = likely.get(name)
        if not count:
            question = f"; is {meant!r} meant?" if meant else ""
            problems.append(
                _problem("warning", "class-unused", f"class {name!r} has no box{question}")
            )
        elif meant:
            boxes = f"({count} box(es), the other {counts[meant]})"
            message = f"class {name!r} looks like {meant!r}, misspelt or cut short {boxes}"
            problems.append(_problem("warning", "class-similar", message))
    for names in group_spellings(list(counts)):
        said = " and ".join(repr(name) for name in names)
        if len({name.casefold() for name in names}) == 1:
            message = f"classes {said} differ by case only: counted as different"
            problems.append(_problem("warning", "class-case", message))
        else:
            message = f"classes {said} differ by case or separators only: counted as different"
            problems.append(_problem("warning", "class-spelling", message))
    return problems + _check_balance(counts)


def group_spellings(names: Sequence[str]) -> list[list[str]]:
    """Names (two and more) that differ by case, blanks, hyphens, underscores or points alone.

    Single characters are symbols, whose case means something: "A" and "a" are two.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        if len(name) > 1:
            groups.setdefault(_SEPARATOR.sub("", name).casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _problem(severity: Severity, code: str, message: str) -> Problem:
    return Problem(severity, code, ".", None, message)


def _check_balance(counts: Mapping[str, int]) -> list[Problem]:
    """Classes with few boxes where others have enough, and the gap between them."""
    most = max(counts, key=lambda name: counts[name])
    if counts[most] < FEW_BOXES:  # only begun: all of it is few
        have = f"{most!r} has {counts[most]} box(es)"
        message = have if len(counts) == 1 else f"{have}, the other classes no more"
        return [_problem("warning", "class-few", message)]
    problems = [
        _problem("warning", "class-few", f"class {name!r} has {count} box(es)")
        for name, count in counts.items()
        if 0 < count < FEW_BOXES
    ]
    rare = [name for name, count in counts.items() if 0 < count * _IMBALANCE <= counts[most]]
    if rare:
        rare.sort(key=lambda name: counts[name])
        said = ", ".join(f"{name!r} {counts[name]}" for name in rare[:_NAMED])
        more = f" and {len(rare) - _NAMED} more classes" if len(rare) > _NAMED else ""
        message = f"{most!r} has {counts[most]} boxes, {said}{more}: a tenth of that and less"
        problems.append(_problem("warning", "class-imbalance", message))
    return problems


def _find_misspelt(counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """(name, the much commoner one that it may be meant to be) where there is one.

    Alike are names that become the same without one letter of each ("racoon" and "raccoon",
    "brocolli" and "broccoli"), plurals, and a name that lacks a word of the other ("bishop" beside
    "white-bishop").
    """
    words = {name: tuple(_SEPARATOR.sub(" ", name).casefold().split()) for name in counts}
    by_stub: dict[str, list[str]] = {}
    by_word: dict[str, list[str]] = {}
    for name, parts in words.items():
        for stub in _stubs(parts):
            by_stub.setdefault(stub, []).append(name)
        for word in set(parts):
            by_word.setdefault(word, []).append(name)
    for name, parts in words.items():
        rarer = {other: _RARER for stub in _stubs(parts) for other in by_stub[stub]}
        for other in min((by_word[word] for word in parts), key=len, default=()):
            added = set(words[other]).difference(parts)
            if added and set(parts).issubset(words[other]) and not added & _NEGATIONS:
                # Where "white-" stands before other classes too, a bare "bishop" lacks its colour.
                recurs = any(len(by_word[word]) > 1 for word in added)
                rarer.setdefault(other, _RARER if recurs else _MUCH_RARER)
        meant = [
            other
            for other, factor in rarer.items()
            if "".join(words[other]) != "".join(parts)
            and counts[other] >= max(1, counts[name] * factor)
            and (counts[name] or factor == _RARER)
        ]
        if meant:
            yield name, max(meant, key=lambda other: counts[other])


def _stubs(words: Sequence[str]) -> set[str]:
    """The name, also without each one letter of its longer words, or a plural's ending."""
    whole = " ".join(words)
    stubs = {whole}
    for start, word in zip(_starts(words), words, strict=True):
        if len(word) >= _SHORTEST_MISSPELT:
            places = (start + offset for offset, char in enumerate(word) if char.isalpha())
            stubs.update(whole[:place] + whole[place + 1 :] for place in places)
    for ending in ("s", "es"):
        if whole.endswith(ending) and len(words[-1]) >= _SHORTEST_PLURAL + len(ending):
            stubs.add(whole.removesuffix(ending))
    return stubs


def _starts(words: Sequence[str]) -> list[int]:
    """Where each word begins in all of them joined by blanks."""
    return [sum(len(word) + 1 for word in words[:index]) for index in range(len(words))]
