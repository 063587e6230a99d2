"""What distinguishes the states of a call: every member of its record that can change."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any

import attrs

from aioecs._logic.calls.actions import Action, LookupDone, Stop
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.matching import StartState
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import ECSError

_NEVER_CHANGE = frozenset(
    {
        *(
            "request",
            "token",
            "timeouts",
            "retries",
            "delivery",
            "epoch",
            "rate_limited",
            "keyed",
            "adopts",
            "has_lookup",
        ),
        *("shares_token", "start_states"),
        "lookup_error",  # it is read for the text of an error only
    }
)
_START = tuple(field.name for field in attrs.fields(StartState))
_FIELDS = tuple(field.name for field in attrs.fields(CallRecord))
_of_start: Callable[[StartState], tuple[object, ...]] = attrgetter(*_START)
_of_record: Callable[[CallRecord], tuple[object, ...]] = attrgetter(
    *(each for each in _FIELDS if each not in _NEVER_CHANGE)
)
"""A member that is new is taken to change: no state is lost by one that is not named here."""
_ATOMS = frozenset({bool, int, float, str, type(None)})
_numbers: dict[Hashable, int] = {}


def number_of(key: Hashable) -> int:
    """Return a small number that stands for a key: the keys of states are made of few parts, again and again."""
    return _numbers.setdefault(key, len(_numbers))


def copied(record: CallRecord) -> CallRecord:
    """Copy a record and its starts: a search never changes a state."""
    new: CallRecord = _copy(record, _FIELDS)
    new.start_states = [_copy(state, _START) for state in record.start_states]
    return new


def _copy(value: Any, names: tuple[str, ...]) -> Any:
    new = object.__new__(type(value))
    for name in names:
        setattr(new, name, getattr(value, name))
    return new


def key_of(record: CallRecord) -> Hashable:
    """Return the state of a record as a hashable value."""
    starts = [_plain_all(_of_start(state)) for state in record.start_states]
    return (*starts, *_plain_all(_of_record(record)))


def _plain_all(values: tuple[object, ...]) -> tuple[Hashable, ...]:
    return tuple([value if value.__class__ in _ATOMS else _plain(value) for value in values])


def key_of_action(action: Action) -> Hashable:
    """Return an action as a hashable value."""
    return ("stop", _plain(action.tasks)) if isinstance(action, Stop) else action


def key_of_lookup(lookup: LookupDone | None) -> Hashable:
    """Return what a lookup has read as a hashable value."""
    return lookup and (_plain(lookup.tasks), lookup.whole, lookup.began, lookup.denied)


def _plain(value: object) -> Hashable:
    if isinstance(value, Task):
        return (value.task_arn, value.desired_status)
    if isinstance(value, Failure | ECSError):
        return type(value).__name__
    if isinstance(value, tuple):
        return tuple([_plain(each) for each in value])
    return value  # what can't be hashed fails where its state is first reached
