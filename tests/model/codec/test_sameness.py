"""sameness: two values that are certainly written alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from aioecs._model.codec.sameness import same_of
from aioecs._model.codec.shape import Shape, member, request_shape
from aioecs._model.shapes.enums import PropagateTags


@request_shape
class Part(Shape):
    """A value in another."""

    text: str | None = None
    number: int | None = None


@request_shape
class Whole(Shape):
    """A value with a member of every kind."""

    text: str | None = None
    number: int | None = None
    flag: bool | None = None
    choice: PropagateTags | str | None = None
    moment: datetime | None = None
    part: Part | None = None
    parts: Sequence[Part] | None = None
    texts: Sequence[str] | None = None
    labels: Mapping[str, str] | None = None
    other: str | None = member(default=None, varies=True)


class Text(str):
    """A string that could be equal to anything."""

    __slots__ = ()


MOMENTS = [datetime(2026, 1, 1, tzinfo=UTC) for _ in range(2)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, True),
        ({"text": "".join("ab")}, {"text": "".join("ab")}, True),
        ({"text": "ab"}, {"text": "b"}, False),
        ({"text": "ab"}, {"text": None}, False),
        ({"text": "ab"}, {"text": Text("ab")}, False),
        ({"number": 10**9}, {"number": int("1000000000")}, True),
        ({"number": 1}, {"number": True}, False),
        ({"number": 1}, {"number": 1.0}, False),
        ({"flag": True}, {"flag": True}, True),
        ({"flag": True}, {"flag": 1}, False),
        ({"choice": PropagateTags.NONE}, {"choice": PropagateTags.NONE}, True),
        ({"choice": PropagateTags.NONE}, {"choice": "NONE"}, False),
        ({"moment": MOMENTS[0]}, {"moment": MOMENTS[0]}, True),
        ({"moment": MOMENTS[0]}, {"moment": MOMENTS[1]}, False),
        ({"part": Part(text="a")}, {"part": Part(text="a")}, True),
        ({"part": Part(text="a")}, {"part": Part(text="b")}, False),
        ({"part": Part(number=1)}, {"part": Part(number=True)}, False),
        ({"part": Part(text="a")}, {"part": "a"}, False),
        ({"part": Part()}, {"part": Part(extra={"newer": 1})}, False),
        ({"parts": [Part(text="a"), Part()]}, {"parts": [Part(text="a"), Part()]}, True),
        ({"parts": [Part(text="a"), Part()]}, {"parts": [Part(text="a"), Part(text="b")]}, False),
        ({"parts": [Part()]}, {"parts": [Part(), Part()]}, False),
        ({"parts": [Part()]}, {"parts": [None]}, False),
        ({"parts": []}, {"parts": []}, True),
        ({"parts": []}, {"parts": None}, False),
        ({"texts": ["a", "".join("bc")]}, {"texts": ["a", "".join("bc")]}, True),
        ({"texts": ["a"]}, {"texts": ["b"]}, False),
        ({"texts": ["a"]}, {"texts": "a"}, False),
        ({"labels": {"a": "b"}}, {"labels": {"a": "b"}}, False),
        ({"extra": {"newer": 1}}, {"extra": {"newer": 1}}, False),
        ({"other": "a"}, {"other": "b"}, True),
    ],
)
def test_what_is_certainly_written_alike(one: dict[str, Any], other: dict[str, Any], expected: bool) -> None:
    """Equal strings, whole numbers, shapes and lists of them; of anything else only the very same object is."""
    a, b, same = Whole(**one), Whole(**other), same_of(Whole)
    assert same(a, b) is same(b, a) is expected
    assert same(a, a)
    assert same(a, a.replace())
