"""The record of a call: its request, what has happened, and the state of each start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import repeat

import attrs

from aioecs._logic.calls.matching import ANYWHERE, StartState
from aioecs._logic.calls.token import CLIENT_TOKEN_KNOWN
from aioecs._model.options import Delivery, OnCancel, Retries, Timeouts
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Failure, Task
from aioecs._model.start_result import Outcome, StartResult, start_of
from aioecs.errors import ECSError

NOT_SENT, REFUSED, STOPPED, STARTED, UNKNOWN = Outcome
"""Module names: in Python 3.11 reading a member of an Enum is a function call."""


class Phase(Enum):
    """The phase that a call is in; `call_state` says what each one means."""

    READY = auto()
    SENT = auto()
    AMBIGUOUS = auto()
    REMOVING_DUPLICATES = auto()
    SETTLING = auto()
    DONE = auto()


def _is_run(record: CallRecord) -> bool:
    return isinstance(record.request, RunTaskRequest)


def _start_states(record: CallRecord) -> list[StartState]:
    request = record.request
    if isinstance(request, RunTaskRequest):
        return [StartState(ANYWHERE) for _ in range(request.count or 1)]
    return list(map(StartState, request.container_instances))


@attrs.define(eq=False, kw_only=True)
class CallRecord:
    """One call. Times are those of the caller's clock, in seconds."""

    request: StartTaskRequest | RunTaskRequest
    token: str
    timeouts: Timeouts
    retries: Retries
    delivery: Delivery
    deadline: float
    """When the call's clock ends."""
    scope_deadline: float = float("inf")
    """When an enclosing scope ends: no backoff is begun that would end later."""
    final_deadline: float = float("inf")
    """When the event loop stops waiting for a call that its end has cancelled."""
    epoch: float = 0.0
    """The Unix time, in seconds, at which the caller's clock shows zero."""
    rate_limited: bool = False
    """A rate limiter spaces the sends, so a throttle needs no backoff of its own."""
    keyed: bool = False
    """The token comes from an idempotency key: it is looked up before the first send."""
    adopts: bool = True
    """Every task with the token is this call's; False for a caller's own `started_by`, where they are candidates."""
    has_lookup: bool = True
    """Its tasks can be looked up; False for a RunTask with a `client_token` of the caller's and no `started_by`."""
    shares_token: bool = False
    """Other calls may be sent with the same `clientToken`: it comes from a key, or from the caller."""

    is_run: bool = attrs.field(init=False, default=attrs.Factory(_is_run, takes_self=True))
    """Whether it is a RunTask: ECS places its tasks, and knows them by the `clientToken`."""
    phase: Phase = Phase.READY
    start_states: list[StartState] = attrs.Factory(_start_states, takes_self=True)
    in_flight: bool = False
    sends: int = 0
    """Sends that count as attempts; those that were throttled don't."""
    throttles: int = 0
    lookups: int = 0
    """Lookups since the last attempt ended."""
    first_sent: float | None = None
    """When it was sent first; a RunTask's `clientToken` is known to ECS from then on."""
    repeat_refused: bool = False
    """ECS refused an ambiguous RunTask that was sent again: it would refuse it once more."""
    refusals: tuple[Failure, ...] = ()
    """All failures that ECS returned for what a RunTask could not place; reported while a start is refused."""
    refusal_unproven: bool = False
    """A RunTask was sent again and refused: ECS may yet act on the first request."""
    was_sent: bool = False
    ambiguous: bool = False
    """An open start may have been started: the answer was lost."""
    ended: float = 0.0
    """When the last attempt ended that may have started something."""
    resent: bool = False
    """Sent again after it was ambiguous: until duplicates are removed, more tasks may show than were requested."""
    surplus: tuple[Task, ...] = ()
    """Duplicates: tasks started beyond those requested."""
    tried_to_stop: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    """ARNs of the tasks for which a stop was accepted, whatever an older lookup still shows."""
    error: ECSError | None = None
    """The last error: the cause of the error that is raised in the end."""
    lookup_error: ECSError | None = None
    """Why the last lookup failed, if it did."""
    mismatch: tuple[Task, ...] = ()
    """Tasks of the key that this request can't have started."""
    candidates: tuple[Task, ...] = ()
    """Tasks with the caller's own `started_by`, which may be this call's or not."""
    over: bool = False
    """The call has ended, even if a start is still open."""
    withdrawal: OnCancel | None = None
    clock_ended: bool = False

    @property
    def operation(self) -> str:
        """Name the operation, as messages do."""
        return "RunTask" if self.is_run else "StartTask"

    def may_repeat(self, now: float) -> bool:
        """Return whether an ambiguous request may be sent again.

        ECS answers a RunTask with a `clientToken` that it knows with the same tasks, and starts nothing.
        """
        if not self.is_run or self.repeat_refused or self.withdrawal is not None or self.first_sent is None:
            return False
        return self.sends < self.retries.max_attempts and now < self.first_sent + CLIENT_TOKEN_KNOWN

    @property
    def open(self) -> list[StartState]:
        """The starts whose outcome isn't known."""
        found: list[StartState] = []
        for state in self.start_states:  # `not state.known`, inlined: this runs for every start several times
            if state.task is None and state.failure is None and state.error is None and not state.dropped:
                found.append(state)  # noqa: PERF401 in Python 3.11 a comprehension is a function call
        return found

    @property
    def any_open(self) -> bool:
        """Whether the outcome of a start isn't known."""
        for state in self.start_states:
            if state.task is None and state.failure is None and state.error is None and not state.dropped:
                return True
        return False

    @property
    def is_ambiguous(self) -> bool:
        """Whether a lookup can still find tasks: those of open starts, or duplicates."""
        return self.resent or (self.ambiguous and self.any_open)

    @property
    def ends(self) -> float:
        """When no further backoff fits."""
        return min(self.deadline, self.scope_deadline, self.final_deadline)

    @property
    def proves_absence_from(self) -> float:
        """When every started task shows in lookups: a lookup begun from then on proves absence."""
        return self.ended + self.timeouts.consistency

    @property
    def tasks_to_stop(self) -> tuple[Task, ...]:
        """The tasks to stop that no stop was tried for: all of ours after a withdrawal with "stop", else duplicates."""
        if self.withdrawal != "stop" and not self.surplus:
            return ()  # as for nearly every call
        mine = [state.task for state in self.start_states if state.task is not None and state.ours]
        wanted = [*mine, *self.surplus] if self.withdrawal == "stop" else self.surplus
        return tuple(
            task
            for task in wanted
            if task.task_arn not in self.tried_to_stop and (task in mine or task.desired_status != "STOPPED")
        )

    @property
    def settles_by(self) -> datetime | None:
        """When all outcomes are known at the latest; None once the call has ended.

        A request or a stop that is in flight then gets one more attempt's time.
        """
        if self.over or self.phase is Phase.DONE:
            return None
        ends = min(self.deadline, self.final_deadline) + self.timeouts.attempt + self.timeouts.settle
        return datetime.fromtimestamp(ends + self.epoch, UTC)

    def freeze(self) -> tuple[str, ...]:
        """Decide which starts are sent, and return their instances: starts withdrawn before are left out.

        A RunTask that ECS may know is sent unchanged, or ECS would refuse its `clientToken`.
        """
        is_run = self.is_run
        fixed = self.resent or (is_run and (self.ambiguous or self.shares_token))
        sent: list[str] = []
        for state in self.start_states:  # `not state.known`, inlined
            is_open = state.task is None and state.failure is None and state.error is None and not state.dropped
            if is_open and state.left and not fixed:
                state.dropped = True
            elif is_open or (is_run and not state.dropped):
                sent.append(state.instance)
        return tuple(sent)

    def outcomes(self) -> set[Outcome]:
        """Return the outcomes of its starts, as far as is known now."""
        return set(map(self._outcome, self.start_states))

    @property
    def any_started(self) -> bool:
        """Whether the outcome of one of its starts is STARTED now."""
        for state in self.start_states:  # noqa: SIM110 `any` with a generator takes twice as long
            if self._outcome(state) is STARTED:
                return True
        return False

    def starts(self, requests: Sequence[StartTaskRequest | RunTaskRequest] = ()) -> tuple[StartResult, ...]:
        """Return the result of each start, as far as is known now; it may be called at any time.

        `requests` are the requests of the starts, one each, if they are not all the call's own.
        """
        sent = self.was_sent or self.in_flight
        finds, stops = self.keyed or self.shares_token, self.withdrawal == "stop"
        starts: list[StartResult] = []
        for state, request in zip(self.start_states, requests or repeat(self.request), strict=False):
            quick = state.task is not None and not stops and not state.stopped  # as for nearly every start
            outcome = STARTED if quick else self._outcome(state)
            starts.append(
                start_of(
                    request,
                    state.instance or state.place,
                    outcome,
                    state.task,
                    state.failure,
                    state.error or (self.error if outcome in (UNKNOWN, NOT_SENT) else None),
                    self.token if sent or state.task is not None else "",
                    self.sends,
                    outcome is UNKNOWN and any(each.task is not None for each in self.start_states),
                    finds and self.is_found(state),
                    self.settles_by if outcome is UNKNOWN else None,
                )
            )
        return tuple(starts)

    def is_found(self, state: StartState) -> bool:
        """Return whether an earlier call with the same key or `clientToken` started the task of a start."""
        return (self.keyed or self.shares_token) and state.task is not None and not state.ours

    def _may_be_stopped(self, state: StartState) -> bool:
        """Return whether a call that is withdrawn with "stop" may still stop the task.

        Until then it isn't reported as started.
        """
        if self.phase is Phase.DONE or state.task is None:
            return False
        return state.ours and state.task.task_arn not in self.tried_to_stop

    def _outcome(self, state: StartState) -> Outcome:
        if state.task is not None:
            may_be_stopped = self.withdrawal == "stop" and self._may_be_stopped(state)
            return STOPPED if state.stopped else UNKNOWN if may_be_stopped else STARTED
        if state.failure is not None or state.error is not None:
            return UNKNOWN if self.refusal_unproven else REFUSED
        if state.dropped:
            return NOT_SENT
        return UNKNOWN if self.ambiguous or self.in_flight else NOT_SENT
