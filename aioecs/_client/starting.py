"""The client's single starts: `start_task`, `run_task`, and `look_up` of what an ambiguous one came to."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import Any

from aioecs._calls.call import Call
from aioecs._calls.call_preparation import Preparer
from aioecs._calls.caller_wait import SharedCall, Wait, admit, refuse_if_cancelled
from aioecs._calls.cancel_checks import abandonable, may_have_fired, until_over
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.call_result import cancelled
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._logic.calls.matching import oldest_first
from aioecs._logic.calls.restart import all_failed, all_withdrawn, key_of
from aioecs._model import limits
from aioecs._model.arn import short
from aioecs._model.options import Delivery, OnCancel, Restart, choice
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Task
from aioecs._model.start_result import StartResult
from aioecs._runtime.cancellation_monitor import Cancellable, Source, expect, source_of
from aioecs._runtime.client_core import Core
from aioecs._runtime.event_emitter import StartEvents
from aioecs.errors import IdempotencyMismatch, InvalidRequest, StartCancelled


class Starting(ABC):
    """How a client starts tasks by one request at a time."""

    _preparer: Preparer
    _on_cancel: OnCancel
    _delivery: Delivery

    @abstractmethod
    def _core(self) -> Core:
        """Return the inside of the client, if it may be used here."""

    async def start_task(
        self,
        request: StartTaskRequest,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        restart: Restart | None = None,
        on_cancel: OnCancel | None = None,
        delivery: Delivery | None = None,
    ) -> StartTaskResponse:
        """Start one task on each of the request's container instances, ten at most, each once.

        Refusals for an instance are in the answer's `failures`; they don't raise.

        `cancel_scope` is a CancelToken or an `anyio.CancelScope`, which is watched and never entered, so it may be
        passed to any number of calls. When it fires, or the caller is cancelled otherwise, what was not written to the
        connection is not sent; for what was, `on_cancel` decides, and the caller waits `timeouts.settle` seconds at
        most for its outcome. A second cancel ends the wait; the client goes on, and `on_settled` receives the outcome.
        `timeout`, in seconds from the call on, cancels as a token that fires then; the error is a StartTimeout.
        With a `cancel_scope` beside it, the first of the two cancels.

        `idempotency_key`, of any length, makes the token: the call looks up first, adopts what it finds, and starts
        only what is missing. It holds against retries in sequence, from any machine, for as long as ECS remembers
        a task: while it runs and about an hour after. It does not hold against two calls at the same moment on two
        machines, nor against one that follows another sooner than ECS shows its tasks (seconds). In one client,
        equal keys at the same time share one call. What it finds is returned by default, also where it has stopped,
        and the answer's `found` is True then. `restart="if_failed"` starts anew, with the next token of the key,
        where every task of the key is known to have failed.

        Raises:
            InvalidRequest: a documented rule is broken; nothing was sent.
            ECSServiceError: ECS rejected it, by the error of its code; nothing was started.
            ConnectionFailed, CallTimeout: nothing was started.
            StartUnknown: ECS may have started some of it; `starts` says which, `token` is to look them up by.
            StartIncomplete: some of it runs, and ECS refused the rest.
            StartCancelled: the scope or token fired; `starts` says what that left behind.
            StartTimeout: the same, for `timeout`; it is a StartCancelled and a TimeoutError.
            IdempotencyMismatch: the key was used for something else; nothing was sent.
        """
        limits.expect(request, StartTaskRequest)
        source = source_of(cancel_scope, timeout)
        if restart is None:
            once: StartTaskResponse = await self._single(request, source, idempotency_key, on_cancel, delivery)
            return once
        choice(restart, Restart, "restart")
        if idempotency_key is None:
            raise InvalidRequest("restart", "goes with an idempotency_key")
        restarts = 0
        while True:
            key = key_of(idempotency_key, restarts)
            response: StartTaskResponse = await self._single(request, source, key, on_cancel, delivery)
            if not response.found or not all_failed(response):
                return response
            restarts += 1

    async def run_task(
        self,
        request: RunTaskRequest,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        on_cancel: OnCancel | None = None,
    ) -> RunTaskResponse:
        """Let ECS place and start tasks, ten at most: on container instances, Fargate or capacity providers.

        What could not be placed is in the answer's `failures`; it doesn't raise.

        It is cancelled as `start_task` is, and every task has an outcome as there. RunTask has an idempotency token of
        its own, `client_token`, which is made here if it isn't given. So an ambiguous request is sent again while that
        token lives, for one hour at least, and ECS answers with the same tasks. After a cancel, and beyond that hour,
        it is looked up by `started_by`, which is the same token unless the request has one of its own.

        `idempotency_key`, of any length, makes the `client_token`: ECS itself then keeps apart two calls with the same
        key, also on two machines at the same moment. ECS knows it for 24 hours, or for one hour after the last of its
        tasks has stopped if that is sooner. The call looks up first, so a task that still runs is found even later.
        What an earlier call started is returned, also where it has stopped, and the answer's `found` is True then.
        Tasks that aioecs itself stopped, because their call was cancelled, don't count: the next token of the key is
        used. Whether this call or an earlier one started a task is decided by when ECS created it: a clock
        that is ahead by more than a second leaves running, after a cancel, what it would have stopped.

        Raises:
            InvalidRequest: a documented rule is broken; nothing was sent.
            ECSServiceError: ECS rejected it, by the error of its code; nothing was started.
            ConnectionFailed, CallTimeout: nothing was started.
            StartUnknown: ECS may have started some of it; `starts` says how many, `token` is to look them up by.
            StartIncomplete: some of it runs, and ECS refused the rest.
            StartCancelled: the scope or token fired; `starts` says what that left behind.
            StartTimeout: the same, for `timeout`; it is a StartCancelled and a TimeoutError.
            IdempotencyMismatch: the key or `client_token` was used for another request; `resource_ids` are its tasks.
        """
        limits.expect(request, RunTaskRequest)
        source = source_of(cancel_scope, timeout)
        restarts = 0
        while True:
            key = key_of(idempotency_key, restarts) if idempotency_key is not None else None
            response: RunTaskResponse = await self._single(request, source, key, on_cancel, None)
            if key is None or not all_withdrawn(response):
                return response
            restarts += 1

    async def look_up(
        self, start_or_token: StartResult | str, cancel_scope: Cancellable | None = None, *, cluster: str | None = None
    ) -> tuple[Task, ...]:
        """Return the tasks that bear a start's token, running or stopped, the oldest first; nothing is started.

        For a `StartResult` whose outcome is UNKNOWN it returns what ECS shows by now on its container instance; for a
        token, what it shows anywhere in `cluster`. An empty answer proves that nothing started only once
        `timeouts.consistency` seconds have passed since the request was sent. A cancel abandons the reads.

        Raises:
            InvalidRequest: there is no token: the start was never sent.
            CallCancelled: the scope or token fired.
            ECSError: the reads failed.
        """
        self._core()
        expect(cancel_scope)
        token = _token_of(start_or_token)
        ambiguous_call = AmbiguousCall(token, token, (), confirm=True, anywhere=True)
        if isinstance(start_or_token, StartResult):
            cluster = start_or_token.request.cluster
            ambiguous_call = self._ambiguous(start_or_token)
        if cancel_scope is None:
            return await self._look_up(cluster, ambiguous_call)
        return await abandonable("look_up", cancel_scope, lambda: self._look_up(cluster, ambiguous_call))

    # ------------------------------------------------------------------------------------------------- one request

    async def _single(
        self,
        request: StartTaskRequest | RunTaskRequest,
        source: Source | None,
        idempotency_key: str | None,
        on_cancel: OnCancel | None,
        delivery: Delivery | None,
    ) -> Any:
        """Send one request under this key, unchanged, and return the response of its operation."""
        core = self._core()
        if not core.admission.try_admit():
            never_begun = partial(self._never_begun, core, request, idempotency_key, delivery)
            await admit(core.admission, source, never_begun)
            self._core()  # it may have been left meanwhile
        call = self._preparer.call(request, idempotency_key, self._chosen_delivery(delivery))
        policy = self._chosen_on_cancel(on_cancel)
        with StartEvents(core.emit, call.record.starts) as events:
            if may_have_fired(core.loop, source, call.record.scope_deadline):
                await refuse_if_cancelled(source, partial(cancelled, call.record))
            if idempotency_key is None:
                shared_call = SharedCall(call)
                call.begin()
            else:
                shared_call = await self._joined(core, call, idempotency_key, source)
            events.starts = shared_call.call.record.starts
            with Wait(shared_call, source, policy, core.timeouts.settle) as wait:
                return await wait.answer()

    def _never_begun(
        self,
        core: Core,
        request: StartTaskRequest | RunTaskRequest,
        key: str | None,
        delivery: Delivery | None,
        reason: str | None,
        source: object,
    ) -> StartCancelled | InvalidRequest:
        """Return the error of a caller that was cancelled before its request was checked: nothing was sent."""
        try:
            call = self._preparer.call(request, key, self._chosen_delivery(delivery))
        except InvalidRequest as broken:
            return broken
        with StartEvents(core.emit, call.record.starts):
            return cancelled(call.record, reason, source)

    def _chosen_on_cancel(self, on_cancel: OnCancel | None) -> OnCancel:
        chosen: OnCancel = choice(on_cancel, OnCancel, "on_cancel") if on_cancel else self._on_cancel
        return chosen

    def _chosen_delivery(self, delivery: Delivery | None) -> Delivery:
        chosen: Delivery = choice(delivery, Delivery, "delivery") if delivery else self._delivery
        return chosen

    async def _joined(self, core: Core, call: Call, key: str, source: Source | None) -> SharedCall:
        """Begin the call, or join the one that is under way for the same key."""
        while (known := _shared_call(core, key)) is not None and not known.over:
            if known.ended:
                await _next_pass(call.record)  # by then it is forgotten, and looked up, or it goes on to stop tasks
                continue
            if known.call.record.request != call.record.request:
                raise IdempotencyMismatch(
                    "the key is in use for another request in this client; nothing was sent", token=call.record.token
                )
            if known.call.withdrawn is None:
                known.extend_deadlines(call.record)
                return known
            await until_over(core.loop, known.call, call.record, source)
        shared_call = SharedCall(call)
        call.begin()
        core.keys.put(key, shared_call)
        return shared_call

    # ----------------------------------------------------------------------------------------------------- looking up

    def _ambiguous(self, start: StartResult) -> AmbiguousCall:
        """Return the lookup that finds a start."""
        marked = start.request.started_by
        if not isinstance(start.request, RunTaskRequest):
            return AmbiguousCall(start.token, marked or start.token, (start.container_instance,), confirm=True)
        if start.request.client_token is not None and marked is None:
            raise InvalidRequest(
                "start_or_token",
                "a start whose tasks bear its token: send a RunTask again that has a client_token and no started_by",
            )
        tagged = start.token if marked is None or self._preparer.tag_tokens else marked
        return AmbiguousCall(tagged, marked or start.token, (), confirm=True, anywhere=True)

    async def _look_up(self, cluster: str | None, ambiguous_call: AmbiguousCall) -> tuple[Task, ...]:
        with self._core().caller_waits.until_closed("during the lookup; it changes nothing"):
            lookup = await self._preparer.reconciler(cluster).look_up(ambiguous_call, 0.0)
        if lookup.error is not None and not lookup.tasks:
            raise lookup.error
        return tuple(oldest_first(_on_instances(ambiguous_call.instances, lookup.tasks)))


async def _next_pass(record: CallRecord) -> None:
    """Wait for the next pass of the loop; a cancel of the caller has StartCancelled as its cause."""
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError as first:
        raise first from cancelled(record, None, None)


def _on_instances(instances: tuple[str, ...], tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks on these instances; all tasks where none is named."""
    wanted = {short(instance) for instance in instances}
    return [task for task in tasks if not wanted or short(task.container_instance_arn or "") in wanted]


def _shared_call(core: Core, key: str) -> SharedCall | None:
    shared_call: SharedCall | None = core.keys.get(key)
    return shared_call


def _token_of(given: Any) -> str:
    """Return the token of a start, or the token that was given.

    Raises:
        InvalidRequest: there is none.
    """
    rule = "a token, or a start that was sent"
    if not isinstance(given, (StartResult, str)):
        raise InvalidRequest("start_or_token", rule, f"a {type(given).__name__}")
    if not (token := given if isinstance(given, str) else given.token):
        raise InvalidRequest("start_or_token", rule, "one without a token")
    return token
