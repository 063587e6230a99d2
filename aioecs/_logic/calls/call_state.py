"""The state machine of a call: the next action for one StartTask or RunTask after each input.

A call is in one phase at a time.

READY     Nothing is in flight, and no open start is ambiguous. A StartTask is sent only from here.
SENT      One request is in flight; ECS may act on it at any moment.
AMBIGUOUS The answer was lost, or the call bears an idempotency key under which an earlier one may have started it.
          StartTask has no idempotency token, so it is never sent again blindly. It is looked up: its tasks bear the
          call's token as `startedBy`. Tasks show in ECS's lists only after a while, so an empty lookup proves nothing.
          One that is complete, and was begun `consistency` seconds after the last attempt ended, proves absence; then
          `delivery` decides. RunTask is sent again while its `clientToken` lives, and looked up beyond that.
REMOVING_DUPLICATES
          All is known, but an ambiguous request was sent again (`at_least_once`, or a RunTask that was then refused):
          tasks of the first may yet show. After one more `consistency`, the oldest task of a start is kept.
SETTLING  Withdrawn while in flight or ambiguous: find out the outcome, stop what was started if `on_cancel` says so,
          and begin nothing new. So a RunTask too is looked up here, and not sent again.
DONE      Every start has an outcome.

The end of a call's clock is not a cancel: nothing new is begun and nothing is stopped, and a request in flight may
still be answered. A withdrawal with "stop" stops what this call itself started: never what it found under its key.

The table is the state machine: each line names the function that handles an input in a phase. It returns the next
action, whose result is the next input. None means: the current action goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from aioecs._logic.calls import matching
from aioecs._logic.calls.actions import (
    BACKOFF_ENDED,
    FINISH,
    SEND,
    Action,
    BackOff,
    BackoffEnded,
    CallInput,
    ClockEnded,
    LookUp,
    LookupDone,
    Stop,
    Stopped,
    Withdrawn,
)
from aioecs._logic.calls.adoption import adopt_found, note_denial
from aioecs._logic.calls.call_record import CallRecord, Phase
from aioecs._logic.calls.retry import EARLY_LOOKUPS, longest_before_lookup, lookup_delay, max_backoff
from aioecs._logic.calls.run_replay import match_run, token_has_ended
from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.shapes.run_task import RunTaskResponse
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs.errors import AnswerLost, ConfigurationError, ConflictException


@attrs.define(eq=False)
class When:
    """The time and the random number that come with an input: the decisions have none of their own."""

    now: float
    jitter: float
    """From 0 to 1."""


def begin(call: CallRecord, now: float) -> Action:
    """Begin the call: look it up first if it bears a key, else send it."""
    when = When(now, 1.0)
    if not call.keyed or (call.is_run and not call.adopts):
        return _send(call, BACKOFF_ENDED, when)
    call.phase = Phase.AMBIGUOUS
    call.ended = now - call.timeouts.consistency  # the tasks of an earlier call show by now
    return _look_up(call, BACKOFF_ENDED, when)


def handle(call: CallRecord, what: CallInput, now: float, jitter: float = 1.0) -> Action | None:
    """Handle an input, and return the next action."""
    return TABLE[call.phase, type(what)](call, what, When(now, jitter))


# Sending -----------------------------------------------------------------------------------------------------------


def _send(call: CallRecord, _: CallInput, when: When) -> Action:
    call.phase = Phase.SENT
    call.in_flight = True
    if call.first_sent is None:
        call.first_sent = when.now
    call.sends += 1
    return SEND


def _answered(call: CallRecord, what: Answered[StartTaskResponse | RunTaskResponse], when: When) -> Action:
    call.in_flight, call.was_sent, call.ended = False, True, when.now
    tasks, failures = matching.well_formed(what.answer.tasks, what.answer.failures)
    if call.is_run:
        match_run(call, tasks, failures)
    else:
        matching.assign_answer(call.start_states, tasks, failures)
    if call.any_open:
        named = len(tasks) + len(failures)
        lost = AnswerLost(f"{call.operation} was answered for {named} starts, not for all that were requested")
        return _lost(call, Lost(lost), when)
    return _known(call, when)


def _known(call: CallRecord, when: When) -> Action:
    """Go on when every start is known: stop what must not run, remove duplicates if it was sent twice, or finish."""
    call.ambiguous = False
    if call.tasks_to_stop:
        return _stop(call)
    if call.resent and not call.clock_ended:
        if call.withdrawal is None:
            call.phase = Phase.REMOVING_DUPLICATES
        return _back_off_before_lookup(call, when)
    return _finish(call)


def _not_sent(call: CallRecord, what: NotSent, when: When) -> Action:
    """Retry while attempts and time remain: ECS can't have received it."""
    call.in_flight, call.error = False, what.error
    if call.ambiguous:
        return _still_ambiguous(call, when)
    if isinstance(what.error, ConfigurationError) or call.sends >= call.retries.max_attempts:
        return _stop(call)
    return _back_off_before_send(call, call.sends, when)


def _rejected(call: CallRecord, what: Rejected, when: When) -> Action:
    """Back off if it was throttled, which doesn't count as an attempt; else it is refused for good.

    Where an earlier request of the call is ambiguous, a refusal of this one proves nothing. A conflict does: ECS knows
    the `clientToken` from another request, so it has acted on none of this call's.
    """
    call.in_flight, call.error, call.was_sent = False, what.error, True
    if what.error.throttled:
        call.sends -= 1
        call.throttles += 1
    if call.ambiguous and not isinstance(what.error, ConflictException):
        call.repeat_refused = not what.error.throttled
        return _still_ambiguous(call, when)
    if what.error.throttled:
        return _back_off_before_send(
            call, call.throttles, attrs.evolve(when, jitter=0.0) if call.rate_limited else when
        )
    for state in call.open:
        state.error = what.error
    return _known(call, when)


def _back_off_before_send(call: CallRecord, retries: int, when: When) -> Action:
    if call.withdrawal is not None or call.clock_ended or not call.open:
        return _stop(call)
    call.phase = Phase.READY
    return _back_off(call, when.now + when.jitter * max_backoff(call.retries, retries - 1))


def _back_off(call: CallRecord, until: float) -> Action:
    """Back off, unless the call's time ends before that."""
    return BackOff(until) if until < call.ends else _clock_ended(call)


def _lost(call: CallRecord, what: Lost, when: When) -> Action:
    """Make the call ambiguous: ECS may have acted, so a StartTask isn't sent again."""
    call.in_flight, call.was_sent, call.ambiguous = False, True, True
    call.error, call.ended, call.lookups = what.error, when.now, 0
    return _still_ambiguous(call, when)


def _still_ambiguous(call: CallRecord, when: When) -> Action:
    """Choose how to find out the outcome."""
    if call.clock_ended or call.withdrawal == "abandon":
        return _finish(call)
    if call.withdrawal is None:
        call.phase = Phase.AMBIGUOUS
    if call.tasks_to_stop:
        return _stop(call)
    if call.may_repeat(when.now):
        return _back_off(call, when.now + when.jitter * max_backoff(call.retries, call.sends + call.throttles - 1))
    return _back_off_before_lookup(call, when)


# Looking up --------------------------------------------------------------------------------------------------------


def _back_off_before_lookup(call: CallRecord, when: When) -> Action:
    """Back off, longer each time, but not past the time from which on a lookup proves absence."""
    backoff = longest_before_lookup(call.retries, call.lookups, late=when.now >= call.proves_absence_from)
    until = when.now + backoff * (1 + when.jitter) / 2
    if when.now < call.proves_absence_from < until + backoff / 2:
        until = call.proves_absence_from
    return _back_off(call, until)


def _reconcile(call: CallRecord, what: CallInput, when: When) -> Action:
    """Send a RunTask again while its `clientToken` lives; look everything else up."""
    if call.was_sent and call.may_repeat(when.now):
        return _send(call, what, when)
    return _look_up(call, what, when)


def _look_up(call: CallRecord, _: CallInput, when: When) -> Action:
    """Look the token up, together with other ambiguous calls: it may wait half a backoff for them."""
    if not call.has_lookup:
        return _finish(call)
    call.lookups += 1
    late = when.now >= call.proves_absence_from
    max_wait = min(lookup_delay(call.retries, call.lookups, late=late), max(0.0, call.ends - when.now) / 2)
    return LookUp(confirm=late, stopped=late or call.lookups > EARLY_LOOKUPS, max_wait=max_wait)


def _lookup_done(call: CallRecord, what: LookupDone, when: When) -> Action:
    """Adopt the found tasks; a lookup proves absence only if it was late and whole."""
    call.lookup_error = what.error
    adopt_found(call, [task for task in what.tasks if not matching.withdrawn(task, call.token)])
    proves_absence = what.whole and what.began >= call.proves_absence_from
    if call.mismatch:
        return _finish(call)
    if proves_absence or what.denied:
        call.resent = call.resent and bool(call.open)
        call.refusal_unproven = call.refusal_unproven and not proves_absence
    if not call.open:
        return _known(call, when)
    if call.tasks_to_stop:
        return _stop(call)
    if what.denied:
        note_denial(call, what)
        return _finish(call)
    if not call.was_sent:
        call.error = what.error
    conclusive = proves_absence or len(call.candidates) >= len(call.open)
    return _absent(call, what, when) if conclusive else _back_off_before_lookup(call, when)


def _absent(call: CallRecord, what: CallInput, when: When) -> Action:
    """Decide about starts that are certainly absent: send them if they never were, else as `delivery` says."""
    if not call.was_sent and token_has_ended(call, when.now):
        call.ambiguous = True
        return _finish(call)
    again = call.delivery == "at_least_once" and not call.candidates and call.sends < call.retries.max_attempts
    if call.withdrawal is not None or (call.was_sent and not again):
        return _finish(call)
    call.resent = call.was_sent and call.adopts
    call.ambiguous = False
    return _send(call, what, when)


# Stopping, and ending -----------------------------------------------------------------------------------------------


def _stop(call: CallRecord) -> Action:
    """Stop what must not run, if anything; else finish."""
    if not call.tasks_to_stop:
        return _finish(call)
    if call.phase is Phase.SENT:
        call.phase = Phase.REMOVING_DUPLICATES
    return Stop(call.tasks_to_stop)


def _stops_ended(call: CallRecord, what: Stopped, when: When) -> Action:
    """Note which stops were accepted, and look up again while the call is ambiguous."""
    call.tried_to_stop |= what.tried
    call.stopped |= what.accepted
    call.surplus = tuple(task for task in call.surplus if task.task_arn not in what.accepted)
    if call.withdrawal == "stop":
        for state in call.start_states:
            state.stopped |= state.task is not None and state.task.task_arn in what.accepted
    if call.tasks_to_stop:
        return _stop(call)
    return _back_off_before_lookup(call, when) if call.is_ambiguous and not call.clock_ended else _finish(call)


def _withdraw(call: CallRecord, what: Withdrawn, when: When) -> Action | None:
    """Begin nothing new. A request in flight is awaited: only its answer shows the outcome."""
    call.withdrawal = what.on_cancel
    if call.phase is Phase.DONE:
        call.phase = Phase.SETTLING
        return _stop(call)
    clocks = call.timeouts
    call.scope_deadline = float("inf")
    call.deadline = max(call.deadline, when.now + clocks.attempt + clocks.consistency + clocks.settle)
    call.phase = Phase.SETTLING
    if call.in_flight:
        return None
    if call.tasks_to_stop:
        return _stop(call)
    if call.is_ambiguous and what.on_cancel != "abandon" and not call.clock_ended:
        return _look_up(call, what, when)
    return _finish(call)


def _go_on(*_: object) -> Action | None:
    return None


def _clock_ended(call: CallRecord, *_: object) -> Action:
    """End the call: nothing new is begun, and no further task is stopped."""
    call.clock_ended = True
    return _finish(call)


def _clock_ended_in_flight(call: CallRecord, *_: object) -> Action | None:
    call.clock_ended = True
    return None if call.in_flight else _finish(call)


def _finish(call: CallRecord, *_: object) -> Action:
    call.phase = Phase.DONE
    return FINISH


TABLE: Mapping[tuple[Phase, type], Callable[..., Action | None]] = {
    # phase and input: function  # next phase
    (Phase.READY, BackoffEnded): _send,  # SENT
    (Phase.SENT, Answered): _answered,  # DONE, REMOVING_DUPLICATES; AMBIGUOUS if a start is missing in it
    (Phase.SENT, NotSent): _not_sent,  # READY while attempts and time remain, else DONE
    (Phase.SENT, Rejected): _rejected,  # READY after a throttle while time remains, else DONE
    (Phase.SENT, Lost): _lost,  # AMBIGUOUS, never READY
    (Phase.AMBIGUOUS, BackoffEnded): _reconcile,  # SENT for a RunTask whose token lives
    (Phase.AMBIGUOUS, Stopped): _stops_ended,
    (Phase.AMBIGUOUS, LookupDone): _lookup_done,  # DONE if all is found; else SENT or DONE
    (Phase.REMOVING_DUPLICATES, BackoffEnded): _look_up,
    (Phase.REMOVING_DUPLICATES, LookupDone): _lookup_done,  # DONE after a late and complete lookup
    (Phase.REMOVING_DUPLICATES, Stopped): _stops_ended,
    (Phase.SETTLING, Answered): _answered,
    (Phase.SETTLING, NotSent): _not_sent,
    (Phase.SETTLING, Rejected): _rejected,
    (Phase.SETTLING, Lost): _lost,
    (Phase.SETTLING, BackoffEnded): _look_up,
    (Phase.SETTLING, LookupDone): _lookup_done,
    (Phase.SETTLING, Stopped): _stops_ended,
    # A withdrawal or the end of the clock may come at any time.
    (Phase.READY, Withdrawn): _withdraw,
    (Phase.SENT, Withdrawn): _withdraw,
    (Phase.AMBIGUOUS, Withdrawn): _withdraw,
    (Phase.REMOVING_DUPLICATES, Withdrawn): _withdraw,
    (Phase.SETTLING, Withdrawn): _go_on,
    (Phase.DONE, Withdrawn): _withdraw,  # no caller is left to receive the outcome: stop what it started
    (Phase.READY, ClockEnded): _clock_ended,
    (Phase.SENT, ClockEnded): _clock_ended_in_flight,
    (Phase.AMBIGUOUS, ClockEnded): _clock_ended,
    (Phase.REMOVING_DUPLICATES, ClockEnded): _clock_ended,
    (Phase.SETTLING, ClockEnded): _clock_ended_in_flight,
    (Phase.DONE, ClockEnded): _go_on,
}
