"""The promise, checked in every state of small worlds; and a defect for each invariant, which the search must find."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest
from promise import searches, worker_model
from promise.bounds import Bounds
from promise.call_model import CallModel
from promise.search import search
from promise.service import Service
from promise.worker_model import SURPLUS, WorkerModel
from promise.worker_state import Worker, WorkerBounds, WorkersState

from aioecs import Outcome
from aioecs._logic.calls import call_state
from aioecs._logic.calls.actions import BackOff, BackoffEnded, ClockEnded, LookupDone, Stopped, Withdrawn
from aioecs._logic.calls.call_record import CallRecord, Phase
from aioecs._model.attempt import Answered, Lost, NotSent
from aioecs.worker._jobs.decisions import DECISIONS, Decision, IntentAction, JobOutcome, MessageAction
from aioecs.worker._jobs.timing import Lease
from aioecs.worker._ledgers import claims

Patch = pytest.MonkeyPatch
Row = tuple[Phase, type]


@pytest.mark.parametrize("bounds", [*searches.CALLS, *searches.WORKERS, searches.WINDOW], ids=str)
def test_no_state_breaks_the_promise(bounds: searches.AnyBounds) -> None:
    """Every state within these bounds is visited."""
    found = searches.searched(bounds)
    assert found.wrong is None, str(found)
    assert found.whole
    assert found.states > 400


def test_the_window_of_a_paused_worker_is_real() -> None:
    """Without the excuse a duplicate is found, so it is no wider than it must be; see the docs on the worker."""
    found = searches.searched(attrs.evolve(searches.WINDOW, window=float("inf")))
    assert found.wrong is not None
    assert found.wrong.startswith("TWICE")
    assert any("paused" in step for step in found.way)


def test_the_window_opens_before_the_lease_ends() -> None:
    """A request that is written in the last seconds of a lease may show only after another has knows it up."""
    bounds = attrs.evolve(searches.WINDOW, window=searches.WINDOW.lease.guard)
    found = searches.searched(bounds)
    assert found.wrong is not None
    assert found.wrong.startswith("TWICE")


# ----------------------------------------------------------------------------------------------------------- defects


def _instead(patch: Patch, row: Row, function: Callable[..., Any]) -> None:
    """Put a wrong function into a row of the state machine."""
    patch.setitem(call_state.TABLE, row, function)


def _before(patch: Patch, row: Row, change: Callable[[CallRecord, Any], Any]) -> None:
    """Change the input, or the record, before the right function of a row takes it."""
    right = call_state.TABLE[row]
    _instead(patch, row, lambda call, what, when: right(call, change(call, what) or what, when))


def _after(patch: Patch, row: Row, change: Callable[[CallRecord], None]) -> None:
    """Change the record after the right function of a row."""
    right = call_state.TABLE[row]

    def wrong(call: CallRecord, what: object, when: object) -> object:
        action = right(call, what, when)
        change(call)
        return action

    _instead(patch, row, wrong)


def _sends_again(patch: Patch) -> None:
    def wrong(call: CallRecord, what: Any, when: Any) -> object:
        call.ambiguous = call.was_sent = True
        return call_state._send(call, what, when)

    _instead(patch, (Phase.SENT, Lost), wrong)


def _forgets_that_it_was_sent(patch: Patch) -> None:
    _after(patch, (Phase.SENT, Lost), lambda call: setattr(call, "ambiguous", False))


def _believes_a_repeated_refusal(patch: Patch) -> None:
    _after(patch, (Phase.SENT, Answered), lambda call: setattr(call, "refusal_unproven", False))


def _believes_in_every_stop(patch: Patch) -> None:
    for phase in (Phase.REMOVING_DUPLICATES, Phase.SETTLING):
        _before(patch, (phase, Stopped), lambda _, what: Stopped(what.tried, what.tried))


def _calls_it_unknown_without_need(patch: Patch) -> None:
    _before(patch, (Phase.SENT, NotSent), lambda call, _: setattr(call, "ambiguous", True))


def _believes_an_early_lookup(patch: Patch) -> None:
    _before(patch, (Phase.AMBIGUOUS, LookupDone), lambda _, what: attrs.evolve(what, whole=True, began=99.0))


def _says_no_token(patch: Patch) -> None:
    right = CallRecord.starts
    patch.setattr(CallRecord, "starts", lambda call: tuple(attrs.evolve(each, token="") for each in right(call)))


def _never_ends(patch: Patch) -> None:
    patch.setattr(call_state, "_back_off", lambda _, until: BackOff(until))
    _instead(patch, (Phase.AMBIGUOUS, ClockEnded), lambda *_: None)
    _instead(patch, (Phase.AMBIGUOUS, BackoffEnded), lambda call, _, when: call_state._back_off(call, when.now + 1))


def _stops_what_is_to_be_kept(patch: Patch) -> None:
    _before(patch, (Phase.SENT, Withdrawn), lambda *_: Withdrawn("stop"))


def _keeps_what_is_to_be_stopped(patch: Patch) -> None:
    _before(patch, (Phase.SENT, Withdrawn), lambda *_: Withdrawn("keep"))


def _waits_for_ever(patch: Patch) -> None:
    _instead(patch, (Phase.AMBIGUOUS, LookupDone), lambda *_: None)


DEFECTS: dict[Callable[[Patch], None], tuple[str, Bounds]] = {
    _sends_again: ("TWICE", Bounds(refuses=False)),
    _forgets_that_it_was_sent: ("UNTRUE: not sent", Bounds()),
    _believes_a_repeated_refusal: ("UNTRUE: refused", Bounds(runs=True)),
    _believes_in_every_stop: ("UNTRUE: stopped, and it runs", Bounds(on_cancel="stop")),
    _calls_it_unknown_without_need: ("UNTRUE: unknown, and no answer was lost", Bounds()),
    _believes_an_early_lookup: ("UNTRUE: unknown, and a lookup would have shown", Bounds()),
    _says_no_token: ("LOST", Bounds()),
    _never_ends: ("LATE", Bounds()),
    _stops_what_is_to_be_kept: ("STOPPED WRONGLY", Bounds(on_cancel="keep")),
    _keeps_what_is_to_be_stopped: ("NOT STOPPED", Bounds(on_cancel="stop", unread=False)),
    _waits_for_ever: ("STUCK", Bounds()),
}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__.strip("_"))
def test_a_defect_of_the_call_is_found(defect: Callable[[Patch], None], monkeypatch: Patch) -> None:
    """One for each invariant, put into the state machine itself."""
    wrong, bounds = DEFECTS[defect]
    defect(monkeypatch)
    found = search(CallModel(bounds))
    assert found.wrong is not None
    assert found.wrong.startswith(wrong), str(found)
    assert found.way[0] == "begins"


def _leases_are_ignored(patch: Patch) -> None:
    patch.setattr(Lease, "cutoff", lambda _, __: float("inf"))


def _grants_what_another_holds(patch: Patch) -> None:
    right = claims.decide_claim
    patch.setattr(claims, "decide_claim", lambda existing, intent, now, skew: right(existing, intent, now + 100, skew))


def _decides(what: JobOutcome, decision: Decision, patch: Patch) -> None:
    patch.setitem(DECISIONS, what, decision)


def _forgets_what_was_written_too_late(patch: Patch) -> None:
    patch.setattr(worker_model, "may_be_surplus", lambda *_, late: False)


def _reads_when_it_is_settled(patch: Patch) -> None:
    right = WorkerModel._settled

    def wrong(own: WorkerModel, state: WorkersState, worker: Worker, arns: tuple[str, ...]) -> WorkersState:
        after = right(own, state, worker, arns)
        [left] = [each for each in after.workers if each.name == worker.name]
        return after.with_worker(attrs.evolve(left, lookup_at=state.now)) if left.lost else after

    patch.setattr(WorkerModel, "_settled", wrong)


def _stops_no_duplicate(patch: Patch) -> None:
    right = Service.stopped
    patch.setattr(Service, "stopped", lambda own, names, why: right(own, names if why != SURPLUS else frozenset(), why))


_CRASH = searches.WORKERS[0]
_SLOW = attrs.evolve(searches.WINDOW, call=attrs.evolve(searches.WINDOW.call, call=6))
WORKER_DEFECTS: dict[str, tuple[Callable[[Patch], None], str, WorkerBounds]] = {
    "leases are ignored": (_leases_are_ignored, "TWICE", _SLOW),
    "what another holds is granted": (_grants_what_another_holds, "TWICE", _CRASH),
    "an unknown start is released": (
        partial(_decides, JobOutcome.UNKNOWN, Decision(IntentAction.RELEASE, MessageAction.RETURN_LATER)),
        "LOST",
        _CRASH,
    ),
    "the message of an unknown start is deleted": (
        partial(_decides, JobOutcome.UNKNOWN, Decision(IntentAction.KEEP, MessageAction.DELETE)),
        "UNTRUE: the message is deleted",
        _CRASH,
    ),
    "what was written too late is forgotten": (_forgets_what_was_written_too_late, "LEFT RUNNING", searches.LATE),
    "a duplicate is knows for too early": (_reads_when_it_is_settled, "LEFT RUNNING", searches.LATE),
    "no duplicate is stopped": (_stops_no_duplicate, "LEFT RUNNING", searches.WINDOW),
}


@pytest.mark.parametrize("name", WORKER_DEFECTS)
def test_a_defect_of_the_worker_is_found(name: str, monkeypatch: Patch) -> None:
    """One for each invariant of the ledger's protocol."""
    defect, wrong, bounds = WORKER_DEFECTS[name]
    defect(monkeypatch)
    found = searches.searched(bounds)
    assert found.wrong is not None
    assert found.wrong.startswith(wrong), str(found)


def test_every_outcome_is_reached() -> None:
    """The world of the model is no narrower than the outcomes that a start can have."""
    reached: set[Outcome] = set()

    class Noted(CallModel):
        def wrong(self, state: Any) -> str | None:
            reached.update(state.call.record.outcomes() if state.call.ended else ())
            return None

    search(Noted(Bounds(on_cancel="stop")))
    assert reached == set(Outcome)
