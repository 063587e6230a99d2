"""The life of a call: what is done about one StartTask, whatever happens to it.

StartTask has no idempotency token of its own, so a request that ECS may have acted on is never sent again blindly.
It is looked up: every task bears the call's token as `startedBy`. A call is in one phase at a time.

READY     Nothing is in flight, and nothing of what is still open is in doubt. Only from here is anything sent.
SENT      One request is in flight; ECS may act on it at any moment.
UNSURE    The answer was lost, or the call bears an idempotency key under which an earlier one may have started it.
          Tasks show in ECS's lists only after a while, so an empty look proves nothing. One that is whole, and was
          begun `consistency` seconds after the last attempt ended, proves absence; then `delivery` decides.
SWEEPING  All is known, but it was sent again after doubt (`at_least_once`), and what the first send started may yet
          show. One more `consistency`: of two tasks for one start the eldest is kept, the other stopped.
SETTLING  Withdrawn with something in flight or in doubt: learn what came of it, stop it if that is wanted, and begin
          nothing new.
DONE      Every start has an outcome.

A clock is not a cancel: at its end nothing new is begun and nothing is stopped, and a request in flight may still
answer. A withdrawal stops, if asked to, what this call itself started: never what it found under its key.

The table is the automaton; what a line does stands in the function it names. Each function takes what happened and
returns the one thing to do next, which is reported back when it is done; None means: go on with what is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from aioecs._logic.calls import matching
from aioecs._logic.calls.actions import (
    Action,
    BackoffEnded,
    CallInput,
    ClockEnded,
    Finish,
    Look,
    LookupDone,
    Rest,
    Send,
    Stop,
    Stopped,
    Withdrawn,
)
from aioecs._logic.calls.call_record import CallRecord, Phase
from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Task
from aioecs.errors import AnswerLost, ConfigurationError


@attrs.frozen
class When:
    """The time and the dice that go with what happened: the decisions have none of their own."""

    now: float
    dice: float
    """From 0 to 1."""


def begin(call: CallRecord, now: float) -> Action:
    """Begin the call: look first if it bears a key, else send."""
    if not call.keyed:
        return _send(call)
    call.phase = Phase.UNSURE
    call.ended = now - call.timeouts.consistency  # an earlier call's tasks are to be seen by now
    return _look(call, BackoffEnded(), When(now, 1.0))


def happened(call: CallRecord, what: CallInput, now: float, dice: float = 1.0) -> Action | None:
    """Take what happened, and say what must now be done."""
    return TABLE[call.phase, type(what)](call, what, When(now, dice))


# Sending -----------------------------------------------------------------------------------------------------------


def _send(call: CallRecord, *_: object) -> Action:
    call.phase = Phase.SENT
    call.in_flight = True
    call.sends += 1
    return Send(tuple([slot.instance for slot in call.open]))


def _answered(call: CallRecord, what: Answered[StartTaskResponse], when: When) -> Action:
    call.in_flight, call.was_sent, call.ended = False, True, when.now
    tasks, failures = matching.sound(what.answer.tasks, what.answer.failures)
    matching.answer(call.slots, tasks, failures)
    if call.open:
        told = len(tasks) + len(failures)
        return _lost(
            call, Lost(AnswerLost(f"StartTask told of {told} starts, and of others that were asked for not")), when
        )
    return _known(call, when)


def _known(call: CallRecord, when: When) -> Action:
    """Go on where every start is known: stop what must not run, sweep if it was sent twice, else finish."""
    call.ambiguous = False
    if call.owed:
        return _stop(call)
    if call.resent and not call.clock_ended:
        if call.withdrawal is None:
            call.phase = Phase.SWEEPING
        return _rest_before_look(call, when)
    return _finish(call)


def _not_sent(call: CallRecord, what: NotSent, when: When) -> Action:
    """Try again while attempts and time remain: ECS can't have seen it."""
    call.in_flight, call.error = False, what.error
    if isinstance(what.error, ConfigurationError) or call.sends >= call.retries.max_attempts:
        return _stop(call)
    return _rest_before_send(call, call.sends, when)


def _rejected(call: CallRecord, what: Rejected, when: When) -> Action:
    """Rest if it was a matter of rate, which costs time and no attempt; else it is refused for good."""
    call.in_flight, call.error, call.was_sent = False, what.error, True
    if what.error.throttled:
        call.sends -= 1
        call.throttles += 1
        return _rest_before_send(call, call.throttles, attrs.evolve(when, dice=0.0) if call.paced else when)
    for slot in call.open:
        slot.error = what.error
    return _known(call, when)


def _rest_before_send(call: CallRecord, so_many: int, when: When) -> Action:
    if call.withdrawal is not None or call.clock_ended or not call.open:
        return _stop(call)
    call.phase = Phase.READY
    return _rest(call, when.now + when.dice * _longest_rest(call, so_many - 1))


def _longest_rest(call: CallRecord, so_many_before: int) -> float:
    return min(call.retries.initial_backoff * 2.0 ** min(so_many_before, 32), call.retries.max_backoff)


def _rest(call: CallRecord, until: float) -> Action:
    """Rest, unless the rest doesn't fit."""
    return Rest(until) if until < call.ends else _clock_ended(call)


def _lost(call: CallRecord, what: Lost, when: When) -> Action:
    """Never send again: ECS may have acted."""
    call.in_flight, call.was_sent, call.ambiguous = False, True, True
    call.error, call.ended, call.looks = what.error, when.now, 0
    if call.clock_ended or call.withdrawal == "abandon":
        return _finish(call)
    if call.withdrawal is None:
        call.phase = Phase.UNSURE
    return _stop(call) if call.owed else _rest_before_look(call, when)


# Looking -----------------------------------------------------------------------------------------------------------


def _rest_before_look(call: CallRecord, when: When) -> Action:
    """Rest, longer each time, but not past the moment from which on absence proves something."""
    longest = _longest_rest(call, call.looks)
    until = when.now + longest * (1 + when.dice) / 2
    if when.now < call.visible < until + longest / 2:
        until = call.visible
    return _rest(call, until)


def _look(call: CallRecord, _: CallInput, when: When) -> Action:
    """Look the token up, together with whatever else is in doubt by then: half a rest is no matter for one look."""
    call.looks += 1
    patience = _longest_rest(call, call.looks - 1) / 2 if call.looks > 1 else 0.0
    fits = max(0.0, call.ends - when.now)
    return Look(confirm=when.now >= call.visible, patience=min(patience, fits / 2))


def _looked(call: CallRecord, what: LookupDone, when: When) -> Action:
    """Adopt what was found; believe in absence only if the look was late and whole."""
    _adopt(call, [task for task in what.tasks if not matching.withdrawn(task, call.token)])
    late = what.whole and what.began >= call.visible
    if call.mismatch:
        return _finish(call)
    if late or what.denied:
        call.resent = call.resent and bool(call.open)
    if not call.open:
        return _known(call, when)
    if call.owed:
        return _stop(call)
    if what.denied:
        return _denied(call, what)
    if not call.was_sent:
        call.error = what.error
    told = late or len(call.candidates) >= len(call.open)
    return _absent(call) if told else _rest_before_look(call, when)


def _adopt(call: CallRecord, found: list[Task]) -> None:
    if not call.adopts:
        call.candidates = tuple(matching.eldest_first(matching.on_instances(call.request, found)))
        return
    if call.keyed and not call.was_sent:
        call.mismatch = tuple(matching.strangers(call.request, found))
    if not call.mismatch:
        surplus = matching.adopt(call.slots, found, ours=call.was_sent)
        call.surplus = tuple(task for task in surplus if task.task_arn not in call.stopped) if call.resent else ()


def _denied(call: CallRecord, what: LookupDone) -> Action:
    """End where looking isn't permitted; under a key nothing was sent yet, and nothing will be."""
    if not call.was_sent:
        call.error = what.error
        for slot in call.open:
            slot.error = what.error
    return _finish(call)


def _absent(call: CallRecord) -> Action:
    """Decide about what certainly doesn't show: send it if it never was, or as delivery says."""
    again = call.delivery == "at_least_once" and not call.candidates and call.sends < call.retries.max_attempts
    if call.withdrawal is not None or (call.was_sent and not again):
        return _finish(call)
    call.resent = call.was_sent and call.adopts
    call.ambiguous = False
    return _send(call)


# Stopping, and ending -----------------------------------------------------------------------------------------------


def _stop(call: CallRecord) -> Action:
    """Stop what must not run, if anything; else finish."""
    if not call.owed:
        return _finish(call)
    if call.phase is Phase.SENT:
        call.phase = Phase.SWEEPING
    return Stop(call.owed)


def _stops_ended(call: CallRecord, what: Stopped, when: When) -> Action:
    """Note which stops were accepted, and learn on if there is more to learn."""
    call.tried_to_stop |= what.tried
    call.stopped |= what.accepted
    call.surplus = tuple(task for task in call.surplus if task.task_arn not in what.accepted)
    if call.withdrawal == "stop":
        for slot in call.slots:
            slot.stopped |= slot.task is not None and slot.task.task_arn in what.accepted
    if call.owed:
        return _stop(call)
    return _rest_before_look(call, when) if call.is_ambiguous and not call.clock_ended else _finish(call)


def _withdraw(call: CallRecord, what: Withdrawn, when: When) -> Action | None:
    """Begin nothing new. What is in flight is waited for: only its answer can tell."""
    call.withdrawal = what.on_cancel
    if call.phase is Phase.DONE:
        call.phase = Phase.SETTLING
        return _stop(call)
    clocks = call.timeouts
    call.horizon = float("inf")
    call.deadline = max(call.deadline, when.now + clocks.attempt + clocks.consistency + clocks.settle)
    call.phase = Phase.SETTLING
    if call.in_flight:
        return None
    if call.owed:
        return _stop(call)
    if call.is_ambiguous and what.on_cancel != "abandon" and not call.clock_ended:
        return _look(call, what, when)
    return _finish(call)


def _go_on(*_: object) -> Action | None:
    return None


def _clock_ended(call: CallRecord, *_: object) -> Action:
    """End: nothing new is begun, and nothing stopped that was not to be stopped before."""
    call.clock_ended = True
    return _finish(call)


def _clock_ended_in_flight(call: CallRecord, *_: object) -> Action | None:
    call.clock_ended = True
    return None if call.in_flight else _finish(call)


_FINISH = Finish()


def _finish(call: CallRecord, *_: object) -> Action:
    call.phase = Phase.DONE
    return _FINISH


TABLE: Mapping[tuple[Phase, type], Callable[..., Action | None]] = {
    # phase          what happened      do                      and so become
    (Phase.READY, BackoffEnded): _send,  # SENT
    (Phase.SENT, Answered): _answered,  # DONE; SWEEPING after doubt; UNSURE if the answer doesn't tell of all
    (Phase.SENT, NotSent): _not_sent,  # READY while attempts and time remain, else DONE
    (Phase.SENT, Rejected): _rejected,  # READY after a throttle while time remains, else DONE
    (Phase.SENT, Lost): _lost,  # UNSURE, never READY
    (Phase.UNSURE, BackoffEnded): _look,
    (Phase.UNSURE, Stopped): _stops_ended,
    (Phase.UNSURE, LookupDone): _looked,  # DONE if all is found; SENT or DONE if the rest is certainly absent
    (Phase.SWEEPING, BackoffEnded): _look,
    (Phase.SWEEPING, LookupDone): _looked,  # DONE after a late and whole look
    (Phase.SWEEPING, Stopped): _stops_ended,
    (Phase.SETTLING, Answered): _answered,
    (Phase.SETTLING, NotSent): _not_sent,
    (Phase.SETTLING, Rejected): _rejected,
    (Phase.SETTLING, Lost): _lost,
    (Phase.SETTLING, BackoffEnded): _look,
    (Phase.SETTLING, LookupDone): _looked,
    (Phase.SETTLING, Stopped): _stops_ended,
    # An end from outside may come at any time.
    (Phase.READY, Withdrawn): _withdraw,
    (Phase.SENT, Withdrawn): _withdraw,
    (Phase.UNSURE, Withdrawn): _withdraw,
    (Phase.SWEEPING, Withdrawn): _withdraw,
    (Phase.SETTLING, Withdrawn): _go_on,
    (Phase.DONE, Withdrawn): _withdraw,  # nobody is left to hear of it: take back what it started
    (Phase.READY, ClockEnded): _clock_ended,
    (Phase.SENT, ClockEnded): _clock_ended_in_flight,
    (Phase.UNSURE, ClockEnded): _clock_ended,
    (Phase.SWEEPING, ClockEnded): _clock_ended,
    (Phase.SETTLING, ClockEnded): _clock_ended_in_flight,
    (Phase.DONE, ClockEnded): _go_on,
}
