"""What is known of a call: what was asked, what happened, and what each of its starts came to so far."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import repeat

import attrs

from aioecs._logic.calls.matching import ANYWHERE, Slot
from aioecs._logic.calls.token import CLIENT_TOKEN_LIVES
from aioecs._model.options import Delivery, OnCancel, Retries, Timeouts
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Failure, Task
from aioecs._model.start_result import Outcome, StartResult, start_of
from aioecs.errors import ECSError

NOT_SENT, REFUSED, STOPPED, STARTED, UNKNOWN = Outcome
"""By name alone: in Python 3.11 to look a member up in its Enum is a call."""


class Phase(Enum):
    """The phase that a call is in; `call_state` says what each one means."""

    READY = auto()
    SENT = auto()
    AMBIGUOUS = auto()
    REMOVING_DUPLICATES = auto()
    SETTLING = auto()
    DONE = auto()


def _slots(record: CallRecord) -> list[Slot]:
    request = record.request
    if isinstance(request, RunTaskRequest):
        return [Slot(ANYWHERE) for _ in range(request.count or 1)]
    return [Slot(instance) for instance in request.container_instances]


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
    horizon: float = float("inf")
    """When an enclosing scope ends: no backoff is begun that reaches beyond."""
    final_deadline: float = float("inf")
    """When the event loop will wait no longer for a call that its end has cancelled."""
    epoch: float = 0.0
    """The time of day, in seconds since 1970, at which the caller's clock shows zero."""
    paced: bool = False
    """A rate limiter spaces the sends, so a throttle needs no backoff of its own."""
    keyed: bool = False
    """The token comes from an idempotency key: it is looked up before the first send."""
    adopts: bool = True
    """Whatever bears the token is this call's; False for a caller's own `started_by`, where matches are candidates."""
    has_lookup: bool = True
    """Its tasks can be looked up; False for a RunTask with a `client_token` of the caller's and no `started_by`."""
    shares_token: bool = False
    """Other calls may be sent with the same `clientToken`: it comes from a key, or from the caller."""

    phase: Phase = Phase.READY
    slots: list[Slot] = attrs.Factory(_slots, takes_self=True)
    in_flight: bool = False
    sends: int = 0
    """Sends that count as attempts; those that were throttled don't."""
    throttles: int = 0
    looks: int = 0
    """Lookups since the last attempt ended."""
    first_sent: float | None = None
    """When it was sent first; a RunTask's `clientToken` lives from then on."""
    repeat_refused: bool = False
    """ECS refused an ambiguous RunTask that was sent again: it would refuse it once more."""
    refusals: tuple[Failure, ...] = ()
    """All that ECS said of what a RunTask could not place."""
    refusal_unproven: bool = False
    """A RunTask was sent again and refused: ECS may yet act on the first request, which it may not have seen by then."""
    was_sent: bool = False
    ambiguous: bool = False
    """What is still open may have been started: the answer to it was lost."""
    ended: float = 0.0
    """When the last attempt ended that may have started something."""
    resent: bool = False
    """Sent again after it was ambiguous: until duplicates are removed, more tasks may show than were asked for."""
    surplus: tuple[Task, ...] = ()
    """Started once too often."""
    tried_to_stop: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    """ARNs of the tasks for which a stop was accepted, whatever an older lookup still shows."""
    error: ECSError | None = None
    """The last thing that went wrong: the cause of what is raised in the end."""
    mismatch: tuple[Task, ...] = ()
    """Tasks under the key that this request can't have started."""
    candidates: tuple[Task, ...] = ()
    """Tasks under the caller's own `started_by`, which may be this call's or not."""
    over: bool = False
    """Nothing more is done about it, whatever is still open."""
    withdrawal: OnCancel | None = None
    clock_ended: bool = False

    @property
    def is_run(self) -> bool:
        """Whether it is a RunTask: ECS places its tasks, and knows them by the `clientToken`."""
        return isinstance(self.request, RunTaskRequest)

    @property
    def operation(self) -> str:
        """Name the operation, as messages do."""
        return "RunTask" if self.is_run else "StartTask"

    def may_repeat(self, now: float) -> bool:
        """Tell whether an ambiguous request may be sent again.

        ECS answers a RunTask with a `clientToken` that it knows with the same tasks, and starts nothing.
        """
        if not self.is_run or self.repeat_refused or self.withdrawal is not None or self.first_sent is None:
            return False
        return self.sends < self.retries.max_attempts and now < self.first_sent + CLIENT_TOKEN_LIVES

    @property
    def open(self) -> list[Slot]:
        """The starts of which it isn't settled what came of them."""
        return [
            slot  # `not slot.known`, spelled out: it is asked of every start several times
            for slot in self.slots
            if slot.task is None and slot.failure is None and slot.error is None and not slot.dropped
        ]

    @property
    def is_ambiguous(self) -> bool:
        """Whether a lookup can still tell something: open starts that may run, or duplicates that may yet show."""
        return self.resent or (self.ambiguous and bool(self.open))

    @property
    def ends(self) -> float:
        """When no further backoff fits."""
        return min(self.deadline, self.horizon, self.final_deadline)

    @property
    def visible(self) -> float:
        """When absence begins to prove something."""
        return self.ended + self.timeouts.consistency

    @property
    def owed(self) -> tuple[Task, ...]:
        """The tasks to stop that no stop was tried for: all of ours if that is wanted, else those one too many."""
        if self.withdrawal != "stop" and not self.surplus:
            return ()  # as for nearly every call
        mine = [slot.task for slot in self.slots if slot.task is not None and slot.ours]
        wanted = [*mine, *self.surplus] if self.withdrawal == "stop" else self.surplus
        return tuple(
            task
            for task in wanted
            if task.task_arn not in self.tried_to_stop and (task in mine or task.desired_status != "STOPPED")
        )

    @property
    def settles_by(self) -> datetime | None:
        """When all is known at the latest; None once nothing more is looked for.

        A request or a stop that is under way then is given one more attempt's time.
        """
        if self.over or self.phase is Phase.DONE:
            return None
        ends = min(self.deadline, self.final_deadline) + self.timeouts.attempt + self.timeouts.settle
        return datetime.fromtimestamp(ends + self.epoch, UTC)

    def freeze(self) -> tuple[str, ...]:
        """Fix what is sent now, and return its instances: starts withdrawn before are not sent.

        A RunTask that may be known to ECS is sent as it was, or ECS would refuse its `clientToken`.
        """
        is_run = self.is_run
        fixed = self.resent or (is_run and (self.ambiguous or self.shares_token))
        wanted = self.open
        for slot in wanted:
            slot.dropped = slot.left and not fixed
        sent = self.slots if is_run else wanted
        return tuple([slot.instance for slot in sent if not slot.dropped])

    def outcomes(self) -> set[Outcome]:
        """Return what its starts came to, as far as is known now."""
        return {self._outcome(slot) for slot in self.slots}

    def starts(self, requests: Sequence[StartTaskRequest | RunTaskRequest] = ()) -> tuple[StartResult, ...]:
        """Say what each start came to, as far as is known now: at any time, not only at the end.

        `requests` are those that the starts belong to, one each, where they are not all the call's own.
        """
        siblings = any(slot.task is not None for slot in self.slots)
        sent = self.was_sent or self.in_flight
        starts: list[StartResult] = []
        for slot, request in zip(self.slots, requests or repeat(self.request), strict=False):
            outcome = self._outcome(slot)
            starts.append(
                start_of(
                    request,
                    slot.instance or slot.place,
                    outcome,
                    slot.task,
                    slot.failure,
                    slot.error or (self.error if outcome in (UNKNOWN, NOT_SENT) else None),
                    self.token if sent or slot.task is not None else "",
                    self.sends,
                    outcome is UNKNOWN and siblings,
                    slot.task is not None and self.is_found(slot),
                    self.settles_by if outcome is UNKNOWN else None,
                )
            )
        return tuple(starts)

    def is_found(self, slot: Slot) -> bool:
        """Tell whether an earlier call with the same key or `clientToken` started the task of a start."""
        return (self.keyed or self.shares_token) and slot.task is not None and not slot.ours

    def _may_be_stopped(self, slot: Slot) -> bool:
        """Tell whether the call has yet to decide if the task runs on: until then nobody is told that it does."""
        if self.phase is Phase.DONE or slot.task is None:
            return False
        return self.withdrawal == "stop" and slot.ours and slot.task.task_arn not in self.tried_to_stop

    def _outcome(self, slot: Slot) -> Outcome:
        if slot.task is not None:
            return STOPPED if slot.stopped else UNKNOWN if self._may_be_stopped(slot) else STARTED
        if slot.failure is not None or slot.error is not None:
            return UNKNOWN if self.refusal_unproven else REFUSED
        if slot.dropped:
            return NOT_SENT
        return UNKNOWN if self.ambiguous or self.in_flight else NOT_SENT
