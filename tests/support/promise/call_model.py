"""The model of one call: ECS, the call and its caller, who may cancel at any step. And what must be true of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cached_property

import attrs

from aioecs import Outcome, StartResult
from aioecs._logic.calls.actions import Withdrawn
from aioecs._logic.calls.call_result import result_of
from aioecs._model.shapes.task import Task
from aioecs.errors import ECSError, IdempotencyMismatch, StartUnknown
from promise.bounds import FAR, Bounds
from promise.call_process import TOKEN, CallProcess, new_call, steps
from promise.record_key import number_of
from promise.search import Step
from promise.service import Service, TaskFact

EARLIER = "earlier call"


@attrs.define(eq=False, slots=False)
class CallState:
    """A moment of the model; it never changes."""

    now: int
    call: CallProcess
    service: Service

    @cached_property
    def key(self) -> Hashable:
        """What distinguishes it from other moments."""
        return (self.now, self.call.key, number_of(self.service))


class CallModel:
    """One call, within bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds

    def initial(self) -> Iterator[Step[CallState]]:
        """Begin the call, in a world where an earlier one may have started a task under its key."""
        yield "begins", CallState(0, new_call(self.bounds, 0), Service())
        if self.bounds.earlier:
            task = TaskFact("earlier", TOKEN, self.bounds.instances[0], -9, EARLIER, due=0)
            yield "begins, its task runs", CallState(0, new_call(self.bounds, 0), Service((task,)))
            ended = attrs.evolve(task, live=False, why="ended")
            yield "begins, its task has ended", CallState(0, new_call(self.bounds, 0), Service((ended,)))

    def steps(self, state: CallState) -> Iterator[Step[CallState]]:
        """Return what can happen: to the call, in ECS, by the caller, or by time alone."""
        now, bounds = state.now, self.bounds
        for name, call, service in steps(state.call, state.service, now, bounds):
            yield f"{now}: {name}", CallState(now, call, service)
        for name, service in state.service.decisions(now, refuses=bounds.refuses):
            yield f"{now}: {name}", CallState(now, state.call, service)
        if bounds.on_cancel is not None and state.call.record.withdrawal is None and not state.call.inputs:
            yield f"{now}: is cancelled", CallState(now, self._cancelled(state), state.service)
        if state.call.may_wait(now, bounds) and self._goes_on(state):
            call = state.call.at(now + 1, bounds.settle)
            yield f"{now}: a tick passes", CallState(now + 1, call, state.service.at(now + 1))

    def _cancelled(self, state: CallState) -> CallProcess:
        assert self.bounds.on_cancel is not None
        call = state.call
        if self.bounds.loop_ends:
            call = call.evolved(record=attrs.evolve(call.record))
            call.record.final_deadline = state.now + self.bounds.settle
        return call.interrupted(Withdrawn(self.bounds.on_cancel), state.now, self.bounds.settle)

    def _goes_on(self, state: CallState) -> bool:
        """Return whether time may still change something: after the end of the call only an open request does."""
        open_requests = any(not request.awaited and request.due < FAR for request in state.service.requests)
        return not state.call.ended or open_requests

    def wrong(self, state: CallState) -> str | None:
        """Return the first invariant that is broken."""
        checks = (self._twice, self._untrue, self._lost, self._late, self._stopped_wrongly)
        return next((wrong for check in checks if (wrong := check(state)) is not None), None)

    # --------------------------------------------------------------------------------------------------- invariants

    def _twice(self, state: CallState) -> str | None:
        """Never twice: one task for each start; under `at_least_once`, one that runs once it has ended undisturbed."""
        own = [task for task in state.service.tasks if task.sender != EARLIER]
        if self.bounds.delivery == "at_least_once" and not self.bounds.runs:
            if not self._undisturbed(state):
                return None
            own = [task for task in own if task.live]
        for instance in self.bounds.instances:
            tasks = [task.name for task in own if task.instance == instance]
            if len(tasks) > 1:
                return f"TWICE: {', '.join(tasks)} for one start on {instance}"
        return None

    def _undisturbed(self, state: CallState) -> bool:
        """Return whether the call has ended with nothing that kept it from removing a duplicate.

        What the first request started shows before the second one's `consistency` is over.
        """
        record = state.call.record
        in_time = not record.clock_ended and record.withdrawal is None
        shown = self.bounds.lag < 2 * self.bounds.consistency
        return state.call.ended and in_time and shown and not self._failed_stop(state)

    def _failed_stop(self, state: CallState) -> bool:
        return bool(state.call.record.tried_to_stop - state.call.record.stopped)

    def _untrue(self, state: CallState) -> str | None:
        """Never a lie: each outcome is true at the moment at which a caller could receive it."""
        for start in state.call.record.starts():
            if self._leans_on_lists(start):
                continue
            tasks = [task for task in state.service.tasks if self._is_of(task, start)]
            open_requests = state.service.open_requests()
            outcome, may_start = start.outcome, any(self._names(each.instances, start) for each in open_requests)
            if outcome is Outcome.NOT_SENT and (tasks or may_start):
                return f"UNTRUE: not sent, and ECS {'has acted' if tasks else 'may act'}"
            if outcome is Outcome.REFUSED and (tasks or may_start):
                return f"UNTRUE: refused, and ECS {'has started it' if tasks else 'may start it'}"
            if outcome is Outcome.STARTED and not any(self._is_named(task, start) for task in state.service.tasks):
                return "UNTRUE: started, and there is no such task"
            if outcome is Outcome.STOPPED and any(self._is_named(task, start) and task.live for task in tasks):
                return "UNTRUE: stopped, and it runs"
            if outcome is Outcome.UNKNOWN and state.call.ended and (why := self._too_unknown(state, tasks)):
                return f"UNTRUE: unknown, and {why}"
        return None

    def _leans_on_lists(self, start: StartResult) -> bool:
        """Return whether an outcome follows from the lists alone, where they break the assumption.

        After a lost answer, only `at_least_once` sends a StartTask again, and only a RunTask that is refused as it is
        sent again is reported as refused.
        """
        again = self.bounds.runs or self.bounds.delivery == "at_least_once"
        negative = start.outcome in (Outcome.NOT_SENT, Outcome.REFUSED)
        return not self.bounds.shows_in_time and again and negative and start.attempts > 0

    def _is_of(self, task: TaskFact, start: StartResult) -> bool:
        """Return whether a send of this call made the task for this start."""
        return task.sender != EARLIER and self._names((task.instance,), start)

    def _names(self, instances: tuple[str, ...], start: StartResult) -> bool:
        return self.bounds.runs or start.container_instance in instances

    def _is_named(self, task: TaskFact, start: StartResult) -> bool:
        return start.task is not None and start.task.task_arn == task.name

    def _too_unknown(self, state: CallState, tasks: list[TaskFact]) -> str | None:
        """Say why "unknown" is not the truth: no answer was lost, or a lookup in time would have shown the task."""
        record = state.call.record
        if not state.call.lost and not state.call.number:
            return "no answer was lost"
        in_time = not record.clock_ended and record.withdrawal is None
        if in_time and self.bounds.shows_in_time and any(task.live for task in tasks) and not self.bounds.denied:
            return "a lookup would have shown its task"
        return None

    def _lost(self, state: CallState) -> str | None:
        """Never lost: what runs, or may yet, is named by an outcome, by its ARN or at least by its token."""
        if not state.call.ended or any(map(self._leans_on_lists, state.call.record.starts())):
            return None
        arns, tokens = named(state.call, self.bounds)
        for task in state.service.tasks:
            if task.live and task.sender != EARLIER and task.name not in arns and task.token not in tokens:
                return f"LOST: {task.name} runs, and no outcome names it"
        for request in state.service.open_requests():
            if request.token not in tokens:
                return f"LOST: ECS may act on request {request.number}, and no outcome names its token"
        return None

    def _late(self, state: CallState) -> str | None:
        """It ends in time: by `settles_by` at the latest, as a caller may read."""
        record, bounds = state.call.record, self.bounds
        ends = min(record.deadline, record.final_deadline) + bounds.attempt + bounds.settle
        return None if state.call.ended or state.now <= ends else f"LATE: it goes on at {state.now}, after {ends}"

    def _stopped_wrongly(self, state: CallState) -> str | None:
        """A cancel stops what this call started if it is asked to, and nothing else."""
        asked = self.bounds.on_cancel == "stop" or self.bounds.delivery == "at_least_once"
        for task in state.service.tasks:
            if task.why == "withdrawn" and (task.sender == EARLIER or not asked):
                return f"STOPPED WRONGLY: {task.name} of {task.sender}"
        cancelled = self.bounds.on_cancel == "stop" and state.call.record.withdrawal is not None
        if state.call.ended and cancelled and not self.bounds.unread:
            arns, _ = named(state.call, self.bounds)
            left = [task.name for task in state.service.tasks if task.live and task.sender != EARLIER]
            if kept := [name for name in left if name in arns]:
                return f"NOT STOPPED: {kept[0]} is known and runs"
        return None

    def ended(self, state: CallState) -> bool:
        """Return whether the call has ended, as every call must."""
        return state.call.ended


def named(call: CallProcess, bounds: Bounds) -> tuple[set[str], set[str]]:
    """Return the ARNs and the tokens that a caller receives for what may run, when the call has ended.

    The token of a start that is known stands for what else runs only where a lost answer is followed by another send
    before the lists are known to show all.
    """
    result = result_of(call.record)
    starts = call.record.starts()
    tasks: list[Task] = [start.task for start in starts if start.task is not None]
    outcomes = {Outcome.UNKNOWN} if bounds.shows_in_time else {Outcome.UNKNOWN, Outcome.STARTED, Outcome.STOPPED}
    tokens = {start.token for start in starts if start.outcome in outcomes}
    if isinstance(result, StartUnknown | IdempotencyMismatch):
        tasks += result.candidates
    if not isinstance(result, ECSError):
        tasks += result.tasks
    return {task.task_arn or "" for task in tasks}, tokens
