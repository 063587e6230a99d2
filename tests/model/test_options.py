"""options: clocks, retries and policies, checked when they are made."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from aioecs._model.options import Delivery, OnCancel, Retries, Timeouts, choice, of_kind, plain_function
from aioecs.errors import InvalidRequest

CLOCKS = [field.name for field in attrs.fields(Timeouts)]
BACKOFFS = ["initial_backoff", "max_backoff"]


def test_the_defaults_are_the_documented_ones() -> None:
    """What the design promises is what a client gets."""
    assert Timeouts() == Timeouts(connect=3, attempt=15, call=90, settle=10, consistency=30, drain=30)
    assert Retries() == Retries(max_attempts=5, initial_backoff=0.1, max_backoff=5)


@pytest.mark.parametrize("given", [0, 0.0, 0.25, 3, 10**6])
@pytest.mark.parametrize(
    ("kind", "name"), [(Timeouts, each) for each in CLOCKS] + [(Retries, each) for each in BACKOFFS]
)
def test_seconds(kind: type[Any], name: str, given: float) -> None:
    """Any number of seconds from nothing on will do."""
    assert getattr(kind(**{name: given}), name) == given


@pytest.mark.parametrize("given", [-1, -0.001, float("inf"), float("nan"), True, "3", None])
@pytest.mark.parametrize(
    ("kind", "name"), [(Timeouts, each) for each in CLOCKS] + [(Retries, each) for each in BACKOFFS]
)
def test_no_seconds(kind: type[Any], name: str, given: Any) -> None:
    """What is no finite number of seconds is refused by name."""
    with pytest.raises(InvalidRequest) as caught:
        kind(**{name: given})
    assert str(caught.value) == f"{kind.__name__}.{name}: a number of seconds, 0 or more, not {given!r}"


@pytest.mark.parametrize("given", [1, 2, 1000])
def test_attempts(given: int) -> None:
    """One attempt is the least."""
    assert Retries(max_attempts=given).max_attempts == given


@pytest.mark.parametrize("given", [0, -1, 1.0, True, "5", None])
def test_no_attempts(given: Any) -> None:
    """What is no count is refused by name."""
    with pytest.raises(InvalidRequest) as caught:
        Retries(max_attempts=given)
    assert str(caught.value) == f"Retries.max_attempts: a whole number, 1 or more, not {given!r}"


@pytest.mark.parametrize("value", [Timeouts(), Retries()])
def test_settings_are_frozen(value: Any) -> None:
    """One value may be shared by any number of clients."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, attrs.fields(type(value))[0].name, 7)


@pytest.mark.parametrize(
    ("given", "of"),
    [
        ("stop", OnCancel),
        ("keep", OnCancel),
        ("abandon", OnCancel),
        ("at_most_once", Delivery),
        ("at_least_once", Delivery),
    ],
)
def test_a_choice(given: str, of: Any) -> None:
    """Each value of a policy is accepted."""
    assert choice(given, of, "policy") == given


@pytest.mark.parametrize("given", ["Stop", "", None, True, "at_most_once"])
def test_no_choice(given: Any) -> None:
    """Another value is refused, and the valid ones are named."""
    with pytest.raises(InvalidRequest) as caught:
        choice(given, OnCancel, "on_cancel")
    assert str(caught.value) == f"on_cancel: one of stop, keep, abandon, not {given!r}"


def test_a_value_of_a_kind() -> None:
    """It is returned as it is; another is named by its own kind, never shown."""
    clocks = Timeouts()
    assert of_kind(clocks, Timeouts, "timeouts") is clocks
    with pytest.raises(InvalidRequest) as caught:
        of_kind("hunter2", Timeouts, "timeouts")
    assert str(caught.value) == "timeouts: of the kind Timeouts, not a str"


class Listener:
    """What may be called, and is no function."""

    def __call__(self, _: object) -> None:
        """Receive it."""


@pytest.mark.parametrize("given", [None, print, [].append, Listener(), lambda _: None])
def test_a_plain_function(given: Any) -> None:
    """Whatever can be called and is done then."""
    assert plain_function(given, "on_event") is given


async def later(_: object) -> None:
    """Receive it, once it is awaited."""


@pytest.mark.parametrize(("given", "kind"), [("print", "str"), (7, "int"), (later, "function")])
def test_no_plain_function(given: Any, kind: str) -> None:
    """What can't be called is refused, and what nobody would await."""
    with pytest.raises(InvalidRequest) as caught:
        plain_function(given, "on_event")
    assert str(caught.value) == f"on_event: a plain function, or None, not a {kind}"
