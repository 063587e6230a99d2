"""One call in the model: the real state machine, and the rules by which `aioecs._calls.call` carries out its actions.

The state machine and the record are those of the package. What `Call` does around them is stated here, without a loop:
one action at a time; an input from outside cuts short a backoff, a lookup, and a request that is not written yet; once
a request is written only its answer, or the loss of that, ends the wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, cached_property

import attrs

from aioecs import RunTaskRequest, RunTaskResponse, StartTaskRequest, StartTaskResponse
from aioecs._logic.calls import call_state
from aioecs._logic.calls.actions import (
    Action,
    BackOff,
    BackoffEnded,
    CallInput,
    ClockEnded,
    Finish,
    LookUp,
    LookupDone,
    Send,
    Stop,
    Stopped,
    Withdrawn,
)
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.token import stop_reason
from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import (
    AccessDeniedException,
    AnswerLost,
    ClusterNotFoundException,
    ConnectionFailed,
    ServerException,
    ThrottlingException,
)
from promise.bounds import Bounds
from promise.record_key import copied, key_of, key_of_action, key_of_lookup, number_of
from promise.service import REFUSED, Request, Service, TaskFact

TOKEN = "aioecs-token"
EPOCH = 1_800_000_000
"""The time of day at tick 0."""
NOT_CONNECTED = NotSent(ConnectionFailed("no connection"))
LOST = Lost(AnswerLost("the answer was lost"))


@cache
def shape_of(fact: TaskFact) -> Task:
    """Return a task as DescribeTasks shows it."""
    status = "RUNNING" if fact.live else "STOPPED"
    return Task(
        task_arn=fact.name,
        container_instance_arn=fact.instance,
        created_at=datetime.fromtimestamp(EPOCH + fact.created, UTC),
        started_by=fact.token,
        task_definition_arn="demo:1",
        desired_status=status,
        last_status=status,
        stop_code=None if fact.live else "UserInitiated",
        stopped_reason=stop_reason(fact.token) if fact.why == "withdrawn" else None,
    )


@attrs.define(eq=False, slots=False)
class CallProcess:
    """A call, and what it is doing. It is never changed: what happens makes another one."""

    record: CallRecord
    action: Action
    name: str
    """Who it is, in what the search reports."""
    since: int = 0
    """When it began its action, or wrote its request."""
    number: int = 0
    """The request that is written and not answered; 0 while there is none."""
    cut_at: float = float("inf")
    """When it waits no longer for the answer."""
    allowed: bool = False
    """It was allowed to send, and has not written yet."""
    lookup: LookupDone | None = None
    """What its lookup has read, and has yet to report."""
    inputs: tuple[CallInput, ...] = ()
    """What came from outside while it could not be interrupted."""
    lost: bool = False
    """The answer to one of its requests was lost."""

    @cached_property
    def key(self) -> int:
        """What distinguishes it from other states."""
        doing = (key_of_action(self.action), self.since, self.number, self.cut_at, self.allowed)
        known = (key_of_lookup(self.lookup), self.inputs, self.lost)
        return number_of((key_of(self.record), doing, known))

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return isinstance(self.action, Finish)

    def fed(self, what: CallInput | None, now: int, **changes: object) -> CallProcess:
        """Give the state machine an input, and then what came from outside meanwhile."""
        record, inputs = copied(self.record), self.inputs
        action = call_state.handle(record, what, now) if what is not None else None
        if not isinstance(action, Send):
            for each in inputs:
                action = call_state.handle(record, each, now) or action
            inputs = ()
        after = self.evolved(
            record=record, action=action or self.action, inputs=inputs, since=now, lookup=None, **changes
        )
        after.allowed = False
        if isinstance(after.action, Send) and inputs:
            return after.fed(NOT_CONNECTED, now)  # what came meanwhile keeps it from being begun
        if after.ended:
            after.record.over = True
        return after

    def evolved(self, **changes: object) -> CallProcess:
        """Return it with other members."""
        new = object.__new__(CallProcess)
        new.__dict__.update(self.__dict__)
        new.__dict__.pop("key", None)
        new.__dict__.update(changes)
        return new

    def interrupted(self, what: Withdrawn | ClockEnded, now: int, settle: int) -> CallProcess:
        """Give it an input from outside."""
        if self.number or self.ended:
            after = self.evolved(record=copied(self.record))
            action = call_state.handle(after.record, what, now)
            if self.number:
                return after if isinstance(what, Withdrawn) else after.evolved(cut_at=now + settle)
            after.record.over = action is None or isinstance(action, Finish)
            return after if action is None else after.evolved(action=action, since=now)
        after = self.evolved(inputs=(*self.inputs, what))
        if isinstance(self.action, Stop):
            return after
        return after.fed(NOT_CONNECTED if isinstance(self.action, Send) else None, now)

    def may_wait(self, now: int, bounds: Bounds) -> bool:
        """Return whether time may pass before its next step."""
        if self.number:
            return now - self.since < bounds.attempt and now < self.cut_at
        if isinstance(self.action, BackOff):
            return now < self.action.until
        if isinstance(self.action, Send):
            return bounds.waits or self.allowed
        if isinstance(self.action, LookUp):
            return bounds.waits and self.lookup is not None and now - self.since < 1
        return self.ended

    def at(self, now: int, settle: int) -> CallProcess:
        """Return it at a later tick: its clock may have ended."""
        record = self.record
        if self.ended or record.clock_ended or any(isinstance(each, ClockEnded) for each in self.inputs):
            return self
        if now < min(record.deadline, record.final_deadline):
            return self
        return self.interrupted(ClockEnded(), now, settle)


def new_call(bounds: Bounds, now: int, *, token: str = TOKEN, name: str = "call") -> CallProcess:
    """Begin a call."""
    request: StartTaskRequest | RunTaskRequest
    if bounds.runs:
        request = RunTaskRequest(task_definition="demo:1", client_token=token)
    else:
        request = StartTaskRequest(task_definition="demo:1", container_instances=bounds.instances)
    record = CallRecord(
        request=request,
        token=token,
        timeouts=bounds.timeouts,
        retries=bounds.retries,
        delivery=bounds.delivery,
        deadline=now + bounds.call,
        epoch=EPOCH,
        keyed=bounds.keyed,
        shares_token=bounds.runs and bounds.keyed,
    )
    action = call_state.begin(record, now)
    return CallProcess(record, action, name, since=now)


Steps = Iterator[tuple[str, CallProcess, Service]]


def steps(call: CallProcess, service: Service, now: int, bounds: Bounds, *, gated: bool | None = None) -> Steps:
    """Return what can happen to a call's action now.

    `gated`: whether it may send now, asked in a step of its own before the one that writes; None: nobody is asked.
    """
    if call.number:
        yield from _answers(call, service, now, bounds)
    elif isinstance(call.action, Send):
        yield from _sends(call, service, now, bounds, gated=gated)
    elif isinstance(call.action, BackOff):
        if now >= call.action.until:
            yield "its backoff ends", call.fed(BackoffEnded(), now), service
    elif isinstance(call.action, LookUp):
        yield from _lookups(call, call.action, service, now, bounds)
    elif isinstance(call.action, Stop):
        yield from _stops(call, call.action, service, now, bounds)


def _sends(call: CallProcess, service: Service, now: int, bounds: Bounds, *, gated: bool | None) -> Steps:
    if gated is not None and not call.allowed:
        if gated:
            yield "may send", call.evolved(allowed=True), service
        else:
            yield "may not send", call.fed(NOT_CONNECTED, now), service
        return
    if not call.allowed:
        yield "no connection", call.fed(NOT_CONNECTED, now), service
    record = copied(call.record)
    instances = record.freeze()
    due = bounds.due(now + bounds.attempt, service.written + 1)
    written = service.receive(record.token, instances, call.name, repeats=record.is_run, due=due)
    yield (
        f"writes request {written.written}",
        call.evolved(record=record, number=written.written, since=now, allowed=False),
        written,
    )


def _answers(call: CallProcess, service: Service, now: int, bounds: Bounds) -> Steps:
    request = service.request(call.number)
    after = service.given_up(call.number, bounds.due(now, call.number))
    ended: dict[str, object] = {"number": 0, "cut_at": float("inf")}
    if request.result is not None:
        answer = _answer(request, service, runs=call.record.is_run)
        yield "is answered", call.fed(Answered(answer), now, **ended), after
        nothing = RunTaskResponse() if call.record.is_run else StartTaskResponse()
        if bounds.garbled:
            yield "is answered for no start", call.fed(Answered(nothing), now, lost=True, **ended), after
    elif not request.dead:
        refused = service.without(request)
        error = ClusterNotFoundException("Cluster not found.")
        if bounds.refuses:
            yield "is refused", call.fed(Rejected(error), now, **ended), refused
        if call.record.throttles < bounds.throttles:
            throttled = ThrottlingException("Rate exceeded")
            yield "is throttled", call.fed(Rejected(throttled), now, **ended), refused
    yield "its answer is lost", call.fed(LOST, now, lost=True, **ended), after


def _answer(request: Request, service: Service, *, runs: bool) -> StartTaskResponse | RunTaskResponse:
    facts = {task.name: task for task in service.tasks}
    result = list(zip(request.instances, request.result or (), strict=True))
    tasks = [shape_of(facts[name]) for _, name in result if name != REFUSED]
    failures = [Failure(arn=instance, reason="RESOURCE:CPU") for instance, name in result if name == REFUSED]
    return (
        RunTaskResponse(tasks=tasks, failures=failures) if runs else StartTaskResponse(tasks=tasks, failures=failures)
    )


def _lookups(call: CallProcess, action: LookUp, service: Service, now: int, bounds: Bounds) -> Steps:
    if call.lookup is not None:
        yield "its lookup ends", call.fed(call.lookup, now), service
        return
    for shown in service.shown(call.record.token, now):
        lookup = LookupDone(tuple(map(shape_of, shown)), whole=action.confirm, began=now)
        names = ", ".join(task.name for task in shown) or "nothing"
        yield f"looks up {names}", _read(call, lookup, now, bounds), service
    if bounds.unread:
        failed = LookupDone((), whole=False, began=now, error=ServerException("Service Unavailable"))
        yield "its lookup fails", _read(call, failed, now, bounds), service
    if bounds.denied:
        error = AccessDeniedException("not authorized")
        yield (
            "may not look up",
            _read(call, LookupDone((), whole=False, began=now, error=error, denied=True), now, bounds),
            service,
        )


def _read(call: CallProcess, lookup: LookupDone, now: int, bounds: Bounds) -> CallProcess:
    return call.evolved(lookup=lookup, since=now) if bounds.waits else call.fed(lookup, now)


def _stops(call: CallProcess, action: Stop, service: Service, now: int, bounds: Bounds) -> Steps:
    tried = frozenset(task.task_arn or "" for task in action.tasks)
    why = "withdrawn"
    yield "stops its tasks", call.fed(Stopped(tried, tried), now), service.stopped(tried, why)
    if bounds.unread:
        yield "its stops fail", call.fed(Stopped(tried, frozenset()), now), service
