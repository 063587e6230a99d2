"""encoder: the function of a shape writes its values, and gives up where it isn't certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import pytest

from aioecs._model.codec.encoder import GAP, Bounds, Encoders
from aioecs._model.codec.plain import from_plain
from aioecs._model.codec.shape import Shape, member, required, shape


class Color(StrEnum):
    RED = "red"


@shape
class Part(Shape):
    """A value that holds others of its own kind."""

    name: str = required()
    parts: Sequence[Part] | None = None
    only: Part | None = None


@shape
class Whole(Shape):
    """A value with a member of each kind."""

    text: str | None = None
    number: int | None = None
    flag: bool | None = None
    color: Color | str | None = None
    names: Sequence[str] | None = None
    colors: Sequence[Color | str] | None = None
    part: Part | None = None
    labels: Mapping[str, str] | None = None
    point: float | None = None
    mark: str | None = member(default=None, varies=True)


GAPS = f'"mark": {GAP}'
ENCODERS = Encoders({(Whole, "text"): Bounds(1, 3), (Whole, "number"): Bounds(0, 9)}, {})


@pytest.mark.parametrize(
    ("members", "written"),
    [
        ({}, "{" + GAPS + "}"),
        ({"text": 'é"', "mark": "not written"}, '{"text": "\\u00e9\\"", ' + GAPS + "}"),
        ({"number": 7, "flag": False, "color": "red"}, '{"number": 7, "flag": false, "color": "red", ' + GAPS + "}"),
        ({"names": [], "colors": [Color.RED, "red"]}, '{"names": [], "colors": ["red", "red"], ' + GAPS + "}"),
        (
            {"part": Part(name="a", parts=[Part(name="b", only=Part(name="c"))])},
            '{"part": {"name": "a", "parts": [{"name": "b", "only": {"name": "c"}}]}, ' + GAPS + "}",
        ),
    ],
)
def test_it_writes_json(members: dict[str, Any], written: str) -> None:
    """Members in their order, with a gap for what varies; a shape may hold itself."""
    assert ENCODERS.text(Whole(**members)) == written


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "members",
    [
        {"text": ""},
        {"text": "long"},
        {"text": Text("a")},
        {"number": True},
        {"number": 10},
        {"number": -1},
        {"flag": 1},
        {"color": "blue"},
        {"color": ["red"]},
        {"names": "abc"},
        {"names": ["a", None]},
        {"colors": ["red", "blue"]},
        {"part": "a"},
        {"part": from_plain(Part, {"name": "a", "parts": ["b"]})},
        {"part": from_plain(Part, {})},
        {"labels": {}},
        {"point": 1.5},
        {"extra": {"newer": 1}},
    ],
)
def test_it_gives_up_where_it_is_not_certain(members: dict[str, Any]) -> None:
    """An unusual type, a limit broken, a member unknown: the value has to be checked member by member."""
    assert ENCODERS.text(Whole(**members)) is None


def test_a_rule_has_the_value_and_its_json() -> None:
    """A shape's rule decides last."""
    seen: list[str] = []

    def rule(value: Part, text: str) -> bool:
        seen.append(text)
        return value.name != "bad"

    encoders = Encoders({}, {Part: rule})
    assert encoders.text(Part(name="good")) == seen[-1] == '{"name": "good"}'
    assert encoders.text(Part(name="bad")) is None


def test_a_value_that_several_share_is_written_once() -> None:
    """Overrides that many requests hold are written for the first of them, and kept with themselves."""
    written: list[Any] = []

    def rule(value: Part, _: str) -> bool:
        written.append(value)
        return True

    encoders, part = Encoders({}, {Part: rule}), Part(name="a")
    assert {encoders.text(Whole(part=part, text=text)) for text in "ab"} != {None}
    assert written == [part]
