"""call_events: what happens on the way of a start, as values."""

from __future__ import annotations

import copy
import inspect
import pickle
from contextvars import copy_context
from typing import Any, get_args

import attrs
import pytest

import aioecs
from aioecs import Outcome
from aioecs._model import call_events

KINDS: tuple[Any, ...] = get_args(call_events.Event)
EXAMPLES: list[call_events.Event] = [
    call_events.CallBegun(call=1, token="t-1", cluster=None, task_definition="frame:42", starts=2),
    call_events.RequestRateLimited(call=None, waited=0.5),
    call_events.RequestSent(call=1, attempt=1, instances=("i-1", "i-2"), rate=40.0),
    call_events.RequestAnswered(call=1, request_id="r-1", task_arns=("task/1",), reasons=("AGENT",)),
    call_events.RequestThrottled(call=1, request_id="r-1", rate=20.0),
    call_events.RequestRejected(call=1, request_id="r-1", code="ClientException"),
    call_events.RequestNotSent(call=1, error="ConnectionFailed"),
    call_events.CallAmbiguous(call=1, error="AnswerLost"),
    call_events.LookupCompleted(call=1, found=1, whole=False, error="AccessDeniedException"),
    call_events.TaskAdopted(call=1, task_arns=("task/1",)),
    call_events.StopSettled(task="task/1", cluster=None, error=None, seconds=0.1),
    call_events.WaitSettled(goal="STOPPED", tasks=("task/1",), error="WaitTimeout", seconds=30.0),
    call_events.JobAttempted(queue="q", message_id="m", outcome="started", task_arns=("task/1",), seconds=0.2),
    call_events.CallSettled(call=1, token="t-1", outcomes=(Outcome.STARTED,), task_arns=("task/1",), withdrawn=None),
    call_events.StartSettled(outcome=Outcome.STARTED, container_instance="i-1", token="t-1", task_arn="task/1"),
]
each = pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: type(event).__name__)


def test_an_event_is_one_of_these() -> None:
    """The union holds every class of the module, and the examples below one of each."""
    made = {
        kind
        for _, kind in inspect.getmembers(call_events, inspect.isclass)
        if attrs.has(kind) and kind.__module__ == "aioecs.types"
    }
    assert made == set(KINDS) == {type(event) for event in EXAMPLES}


@each
def test_public(event: call_events.Event) -> None:
    """A user can name it, to match it."""
    name = type(event).__name__
    assert getattr(aioecs.types, name) is type(event)
    assert name in aioecs.types.__all__


@each
def test_frozen_and_slotted(event: call_events.Event) -> None:
    """A listener can't change what the next one receives, and it holds nothing else."""
    field = attrs.fields(type(event))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(event, field, None)
    assert not hasattr(event, "__dict__")


@each
def test_a_value(event: call_events.Event) -> None:
    """Equal ones are equal, and it may be sent to a listener in another process."""
    assert copy.copy(event) == event
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 our own


def test_callers_are_not_shown() -> None:
    """What else a caller's context holds reaches no log."""
    alone = EXAMPLES[0]
    assert isinstance(alone, call_events.CallBegun)
    begun = attrs.evolve(alone, callers=(copy_context(),))
    assert "callers" not in repr(begun)
    assert begun == alone
