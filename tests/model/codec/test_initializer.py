"""initializer: the `__init__` that is generated takes what attrs' own would, and keeps the same."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest

from aioecs._model.codec.initializer import copier
from aioecs._model.codec.shape import Shape, member, required, shape
from aioecs.errors import InvalidRequest


@shape
class Sample(Shape):
    """A value with a default, a required member, a factory, a converter, and names that Python uses too."""

    type: str = required()
    tuple: Sequence[str] | None = None
    labels: Mapping[str, str] | None = None
    numbers: Any = member(factory=list)
    upper: Any = member(default="a", kept_by=lambda held: held.upper())


def test_it_keeps_what_attrs_would() -> None:
    """Defaults are made anew, and what a caller could change becomes the value's own."""
    names, labels = ["a"], {"k": "v"}
    value = Sample(type="t", tuple=names, labels=labels)
    names.append("b")
    labels["k"] = "w"
    whole: Any = value
    assert attrs.asdict(whole) == {
        "extra": {},
        "type": "t",
        "tuple": ("a",),
        "labels": {"k": "v"},
        "numbers": [],
        "upper": "A",
    }
    assert value.numbers is not Sample(type="t").numbers
    assert attrs.evolve(whole, upper="b").upper == "B"
    held = ("a",)
    assert Sample(type="t", tuple=held).tuple is held


def test_what_is_wrong_is_named() -> None:
    """A required member that is missing, a name that is none, and a value without its name."""
    make: Any = Sample
    with pytest.raises(InvalidRequest, match=r"Sample\.type"):
        make()
    with pytest.raises(TypeError, match=r"Sample has no member 'typ'; did you mean type\?"):
        make(typ="t")
    with pytest.raises(TypeError, match="positional"):
        make("t")


def test_its_signature_shows_the_members() -> None:
    """`help()` and editors see keyword-only members with their types."""
    signature = inspect.signature(Sample)
    assert list(signature.parameters) == ["extra", "type", "tuple", "labels", "numbers", "upper"]
    assert {each.kind for each in signature.parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert signature.parameters["type"].annotation == "str"


def test_a_copy_shares_all_members() -> None:
    """Whatever the shape; what a caller holds of the first is held by the copy too."""
    value = Sample(type="t", tuple=["a"], labels={"k": "v"}, extra={"newer": 1})
    copied = copier(Sample)(value)
    assert copied == value
    assert copied is not value
    assert copied.tuple is value.tuple
    assert copier(Shape)(Shape()) == Shape()


class Special(Sample):
    """A class of a caller's own, with a member beside the slots."""

    def mark(self) -> None:
        """Set it."""
        object.__setattr__(self, "marked", True)


@pytest.mark.parametrize("cls", [Sample, Special])
def test_a_value_is_of_its_own_class_and_frozen(cls: Any) -> None:
    """It is filled as a value of another class, of which nothing is left; a subclass stays what it is."""
    value: Any = cls(type="t")
    assert type(value) is type(value.replace(type="u")) is type(copier(cls)(value)) is cls
    assert value != cls(type="u")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.type = "u"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del value.type
    if isinstance(value, Special):
        value.mark()
        assert vars(value) == {"marked": True}


def test_nothing_is_derived_from_a_class_of_a_caller_s_own() -> None:
    """It may do anything when a class is derived from it, and may have a member that can't be set."""
    derived: list[type[Any]] = []

    class Watched(Sample):
        def __init_subclass__(cls) -> None:
            derived.append(cls)

    class Fixed(Watched):
        @property
        def type(self) -> str:
            """It is always the same."""
            return "fixed"

    value = Fixed(type="t")
    assert type(value) is type(value.replace()) is Fixed
    assert (value.type, Sample.type.__get__(value)) == ("fixed", "t")  # type: ignore[attr-defined]
    assert derived == [Fixed]
    assert Fixed.__subclasses__() == []
