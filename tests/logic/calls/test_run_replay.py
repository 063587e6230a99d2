"""run_replay: which tasks of a RunTask's answer are this call's own, and when its token can't be used any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from run_task_fixtures import answered_run, run_record, run_task_at

from aioecs import Failure, Outcome, RunTaskResponse
from aioecs._logic.calls import call_state
from aioecs._logic.calls.actions import BackOff, BackoffEnded, Finish, LookUp, LookupDone, Send
from aioecs._logic.calls.call_result import result_of
from aioecs._logic.calls.run_replay import token_has_ended, too_many
from aioecs._logic.calls.token import CLIENT_TOKEN_FORGOTTEN
from aioecs._model.attempt import Lost
from aioecs.errors import ServerException

LOST = Lost(ServerException("fault", status=500))


def said(call: Any) -> list[Outcome]:
    """Return what the starts came to."""
    return [start.outcome for start in call.starts()]


def test_tasks_of_an_earlier_call_are_found() -> None:
    """What was created before this call was sent is found, and is not stopped with it."""
    call = run_record(2, shares_token=True, keyed=True, adopts=False, epoch=1000.0)
    call_state.begin(call, 10)
    call_state.handle(call, answered_run(run_task_at(900), run_task_at(1010.5)), 11)
    assert [start.found for start in call.starts()] == [True, False]


@pytest.mark.parametrize("failures", [(), (Failure(reason="RESOURCE:CPU"),)])
def test_the_others_of_a_replay_are_refused(failures: tuple[Failure, ...]) -> None:
    """Sent again, ECS gives the tasks of the token once more; its reasons may be lost."""
    call = run_record(3)
    call_state.begin(call, 0)
    assert isinstance(call_state.handle(call, LOST, 1), BackOff)
    assert isinstance(call_state.handle(call, BackoffEnded(), 2), Send)
    assert isinstance(call_state.handle(call, answered_run(run_task_at(0), failures=failures), 3), Finish)
    assert said(call) == [Outcome.STARTED, Outcome.REFUSED, Outcome.REFUSED]
    assert len(call.refusals) == 1


@pytest.mark.parametrize(("count", "refused"), [(1, 0), (3, 1)])
def test_a_refusal_that_a_lookup_disproves_is_not_reported(count: int, refused: int) -> None:
    """Sent again, ECS refused all; a task of the first request shows then, and no refusal of it is left."""
    call = run_record(count)
    call_state.begin(call, 0)
    call_state.handle(call, LOST, 1)
    call_state.handle(call, BackoffEnded(), 2)
    call_state.handle(call, answered_run(failures=(Failure(reason="RESOURCE:CPU"),)), 3)
    assert said(call) == [Outcome.UNKNOWN] * count
    assert isinstance(call_state.handle(call, BackoffEnded(), 40), LookUp)
    lookup = LookupDone((run_task_at(0),), whole=True, began=40)
    assert isinstance(call_state.handle(call, lookup, 41), Finish)
    assert said(call) == [Outcome.STARTED, *[Outcome.REFUSED] * (count - 1)]
    response = result_of(call)
    assert isinstance(response, RunTaskResponse)
    assert (len(response.tasks), len(response.failures)) == (1, refused)


def test_a_first_answer_that_leaves_some_out_is_ambiguous() -> None:
    """Without a reason for the rest it is asked for again."""
    call = run_record(2)
    call_state.begin(call, 0)
    assert isinstance(call_state.handle(call, answered_run(run_task_at(0)), 1), BackOff)
    assert said(call) == [Outcome.STARTED, Outcome.UNKNOWN]


def test_a_token_that_has_ended_is_not_used_again() -> None:
    """A key found a task older than a day and lacks another: that one may have run and ended, so it is unknown."""
    call = run_record(2, keyed=True, shares_token=True)
    now = CLIENT_TOKEN_FORGOTTEN + 1
    assert isinstance(call_state.begin(call, now), LookUp)
    lookup = LookupDone((run_task_at(0),), whole=True, began=now)
    assert isinstance(call_state.handle(call, lookup, now + 1), Finish)
    assert said(call) == [Outcome.STARTED, Outcome.UNKNOWN]
    assert token_has_ended(call, now)


def test_more_tasks_than_asked_for_are_another_request_s() -> None:
    """A key with three tasks is no key of a request for two."""
    found = [run_task_at(0).replace(task_arn=f"arn/{at}") for at in range(3)]
    assert too_many(run_record(2), found) == found
    assert too_many(run_record(3), found) == []


def test_times() -> None:
    """The helper's tasks are created when they say."""
    assert run_task_at(7).created_at == datetime.fromtimestamp(7, UTC)
