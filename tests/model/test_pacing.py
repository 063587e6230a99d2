"""pacing: how fast, checked when it is said."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs._model.pacing import Pacing
from aioecs.errors import InvalidRequest


def test_both_are_learnt_unless_given() -> None:
    """None is the default, and stands for what is learnt."""
    assert Pacing() == Pacing(burst=None, rate=None)


@pytest.mark.parametrize("given", [1, 0.5, 100.0, 10**6])
def test_pinned(given: float) -> None:
    """Any number above nothing will do, and equal ones are one key."""
    pacing = Pacing(burst=given, rate=given)
    assert (pacing.burst, pacing.rate) == (given, given)
    assert {pacing} == {Pacing(burst=given, rate=given)}


@pytest.mark.parametrize("given", [0, 0.0, -1, float("inf"), float("nan"), True, "40"])
@pytest.mark.parametrize("name", ["burst", "rate"])
def test_no_number_above_nothing(name: str, given: Any) -> None:
    """What can't be a bucket is refused by name."""
    with pytest.raises(InvalidRequest) as caught:
        Pacing(**{"burst": 100, "rate": 40, name: given})
    assert str(caught.value) == f"Pacing.{name}: a number above 0, or None, not {given!r}"


@pytest.mark.parametrize(("name", "other"), [("burst", "rate"), ("rate", "burst")])
def test_one_without_the_other(name: str, other: str) -> None:
    """Half a bucket is none."""
    numbers: dict[str, Any] = {name: 5}
    with pytest.raises(InvalidRequest) as caught:
        Pacing(**numbers)
    assert str(caught.value) == f"Pacing.{other}: given, as {name} is: both are pinned or both are learnt"
