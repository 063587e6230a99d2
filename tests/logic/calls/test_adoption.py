"""adoption: what a lookup finds is the call's own, a candidate, or another request's."""

from __future__ import annotations

import pytest
from run_task_fixtures import run_record, run_task_at

from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.adoption import adopt_found, note_denial
from aioecs.errors import AccessDeniedException

FOUND = [run_task_at(1), run_task_at(2)]


def test_what_bears_the_token_is_adopted() -> None:
    """Each start gets a task of its own, the oldest first; after a send they are this call's."""
    call = run_record(2, was_sent=True)
    adopt_found(call, [FOUND[1], FOUND[0]])
    assert [state.task for state in call.start_states] == FOUND
    assert all(state.ours for state in call.start_states)


def test_what_bears_the_caller_s_own_mark_is_a_candidate() -> None:
    """Nothing is adopted on a guess."""
    call = run_record(2, adopts=False, was_sent=True)
    adopt_found(call, FOUND)
    assert call.candidates == tuple(FOUND)
    assert [state.task for state in call.start_states] == [None, None]


@pytest.mark.parametrize("count", [1, 2])
def test_a_key_of_another_request_is_a_mismatch(count: int) -> None:
    """Another definition, or more tasks than this request asks for."""
    call = run_record(count, keyed=True)
    found = FOUND if count == 1 else [FOUND[0].replace(task_definition_arn="arn/other:1")]
    adopt_found(call, found)
    assert call.mismatch == tuple(found)
    assert call.open == call.start_states


def test_a_denied_lookup_refuses_what_was_not_sent() -> None:
    """Under a key nothing is sent that could not be looked up before; what was sent stays ambiguous."""
    denied = AccessDeniedException("no")
    for was_sent in (False, True):
        call = run_record(2, keyed=True, was_sent=was_sent)
        note_denial(call, LookupDone((), whole=False, began=0, error=denied, denied=True))
        assert [state.error for state in call.start_states] == [None if was_sent else denied] * 2
