"""lookup_round: which calls a task belongs to, and which calls a failed read concerns."""

from __future__ import annotations

import attrs
import pytest

from aioecs import Task
from aioecs._calls.lookup_round import LookupRound
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._model.shapes.enums import DesiredStatus
from aioecs.errors import AccessDeniedException, AnswerLost, ECSError

FIRST = AmbiguousCall("t", "t", ("i0",), confirm=True)
SECOND = AmbiguousCall("u", "u", ("i1",), confirm=True)


def a_round() -> LookupRound:
    """Make a round of two calls."""
    return LookupRound([FIRST, SECOND], began=7.0)


def test_a_task_is_added_to_its_call_alone() -> None:
    """By its mark; one that no call of the round has is not added."""
    round_ = a_round()
    task = Task(task_arn="arn:1")
    assert round_.describe(task, [("t", None)])
    assert not round_.describe(Task(task_arn="arn:2"), [("other", None)])
    assert round_.result_for(FIRST).tasks == (task,)
    assert round_.result_for(SECOND).tasks == ()
    assert round_.seen == {"arn:1", "arn:2"}


@pytest.mark.parametrize(
    ("source", "failed"),
    [("t", {"t"}), ("i1", {"u"}), ("other", set()), (None, {"t", "u"})],
)
def test_an_error_concerns_the_calls_of_its_source(source: str | None, failed: set[str]) -> None:
    """A token, an instance, or the whole cluster; the lookups of those calls are not whole."""
    round_ = a_round()
    round_.fail([source], AnswerLost("reset"))
    results = {call.token: round_.result_for(call) for call in (FIRST, SECOND)}
    assert {token for token, result in results.items() if not result.whole} == failed
    assert {token for token, result in results.items() if result.error is not None} == failed


@pytest.mark.parametrize(("error", "denied"), [(AccessDeniedException("no"), True), (AnswerLost("reset"), False)])
def test_each_call_gets_its_own_copy_of_an_error(error: ECSError, denied: bool) -> None:
    """With the same cause; a denial is marked, since a further lookup can't succeed."""
    error.__cause__ = OSError("below")
    round_ = a_round()
    round_.fail([None], error)
    one, other = round_.result_for(FIRST), round_.result_for(SECOND)
    assert one.error is not None
    assert one.error is not other.error
    assert (type(one.error), one.error.__cause__, one.denied) == (type(error), error.__cause__, denied)


def test_a_lookup_without_confirm_is_never_whole() -> None:
    """It can't prove absence; a task that was never described may belong to any call."""
    unconfirmed = AmbiguousCall("v", "v", (), confirm=False)
    round_ = LookupRound([unconfirmed], began=0.0)
    assert not round_.result_for(unconfirmed).whole
    assert round_.wants(None)
    assert not round_.wants([("t", None)])


@pytest.mark.parametrize(
    ("calls", "running", "stopped"),
    [
        pytest.param([], (), (), id="nothing"),
        pytest.param([FIRST, attrs.evolve(SECOND, stopped=False)], ("t", "u"), ("t",), id="an early lookup"),
        pytest.param([FIRST, attrs.evolve(SECOND, started_by="t")], ("t",), ("t",), id="a token is listed once"),
        pytest.param([FIRST, AmbiguousCall("f", "f", (), confirm=True)], ("t",), ("t",), id="a list of it has failed"),
    ],
)
def test_what_is_listed(calls: list[AmbiguousCall], running: tuple[str, ...], stopped: tuple[str, ...]) -> None:
    """Each token once, in both lists; just after the answer was lost, among the running tasks alone."""
    round_ = LookupRound(calls, began=0.0)
    round_.fail(["f"], AnswerLost("reset"))
    assert (round_.tokens(DesiredStatus.RUNNING), round_.tokens(DesiredStatus.STOPPED)) == (running, stopped)
