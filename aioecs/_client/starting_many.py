"""The client's starts of many tasks, and of tasks on instances that aioecs picks."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from aioecs._batch.batch import Batch, session_of
from aioecs._batch.batch_session import BatchSession
from aioecs._batch.placement.placed_starts import place_all, place_one
from aioecs._batch.placement.placement_context import OnCapacityShortage, PlacementContexts, options_of
from aioecs._client.starting import Starting
from aioecs._model.batch_report import BatchReport
from aioecs._model.options import Delivery, OnCancel
from aioecs._model.placement import Constraint, Placement, Spread
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._runtime.cancellation_monitor import Cancellable, source_of


class StartingMany(Starting):
    """How a client starts many tasks by one call, and places them."""

    _placement_contexts: PlacementContexts

    async def start_tasks(
        self,
        requests: Iterable[StartTaskRequest] | AsyncIterable[StartTaskRequest],
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: Callable[[StartTaskRequest], str] | None = None,
        wait_for_capacity: float = 0.0,
        on_cancel: OnCancel | None = None,
        delivery: Delivery | None = None,
    ) -> BatchReport:
        """Start the tasks of many requests, each naming any number of instances; one start never fails another.

        The requests are drawn as they are needed. `idempotency_key(request)` gives a request a key of its own.
        A start that ECS refuses for want of capacity (`RESOURCE:*`) or of an agent (`AGENT`) is sent again to the same
        instance for `wait_for_capacity` seconds from its first refusal; by default it is not. A cancel ends the
        drawing; open starts end as `on_cancel` says, and those that wait for capacity are REFUSED.

        Raises:
            InvalidRequest: a request breaks a documented rule; what had been begun is withdrawn.
            StartCancelled, StartTimeout: the scope or token fired, or the `timeout` is over; `starts` has what was
                drawn until then, in order.
        """
        source = source_of(cancel_scope, timeout)
        async with self.batch(idempotency_key=idempotency_key, on_cancel=on_cancel, delivery=delivery) as batch:
            return await session_of(batch).report(requests, source, wait_for_capacity=wait_for_capacity)

    async def run_tasks(
        self,
        requests: Iterable[RunTaskRequest] | AsyncIterable[RunTaskRequest],
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: Callable[[RunTaskRequest], str] | None = None,
        wait_for_capacity: float = 0.0,
        on_cancel: OnCancel | None = None,
    ) -> BatchReport:
        """Let ECS place and start the tasks of many requests, each of one to ten; one start never fails another.

        The requests are drawn as they are needed. Equal ones share calls of ten tasks, each call with a `client_token`
        of its own; `idempotency_key(request)` gives a request a key of its own, and it then shares no call.

        What ECS refuses for want of capacity is sent again for `wait_for_capacity` seconds from its first refusal: by
        default it is not. That is `RESOURCE:*`, what AWS Fargate reports of its capacity or of the account's limit, and
        capacity providers without instances; any other reason is final. A request with a key or a `client_token` of its
        own is sent again only while none of its tasks runs, with the same token.

        Raises:
            InvalidRequest: an argument is not what it must be; what had been begun is withdrawn.
            StartCancelled, StartTimeout: the scope or token fired, or the `timeout` is over; `starts` has what was
                drawn until then, in order.
        """
        source = source_of(cancel_scope, timeout)
        async with self.batch(idempotency_key=idempotency_key, on_cancel=on_cancel) as batch:
            return await session_of(batch).run_report(requests, source, wait_for_capacity=wait_for_capacity)

    def batch(
        self,
        *,
        idempotency_key: Callable[[Any], str] | None = None,
        on_cancel: OnCancel | None = None,
        delivery: Delivery | None = None,
        window: float = 0.002,
        drain: float | None = None,
    ) -> Batch:
        """Return the engine of `start_tasks` with a life of its own: `async with client.batch() as batch`.

        Args:
            idempotency_key: gives each request a key of its own; it then shares no call.
            on_cancel, delivery: as the client's, for what this batch starts.
            window: how long a start waits for equal ones to share its call with, in seconds.
            drain: how long leaving the block waits for what is in flight, in seconds; None waits for all of it.
        """
        session = BatchSession(
            self._core(),
            self._preparer,
            self._placement_contexts,
            idempotency_key=idempotency_key,
            on_cancel=self._chosen_on_cancel(on_cancel),
            delivery=self._chosen_delivery(delivery),
            window=window,
            drain=drain,
        )
        return Batch(session)

    async def place_task(
        self,
        request: StartTaskRequest,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        placement: Placement = Spread(),  # noqa: B008 frozen
        constraints: Iterable[Constraint] = (),
        instances: Iterable[str] | None = None,
        wait_for_capacity: float = 0.0,
        confirm_refusals: bool = False,
        idempotency_key: str | None = None,
        on_capacity_shortage: OnCapacityShortage | None = None,
        on_cancel: OnCancel | None = None,
        delivery: Delivery | None = None,
    ) -> StartTaskResponse:
        """Start one task on a container instance that aioecs chooses; the request names none.

        It answers and raises as `start_task` does, and places as `place_tasks` does: no capacity is a failure in the
        answer. With `idempotency_key`, what an earlier attempt started, on whatever instance, is found and returned.

        Raises:
            InvalidRequest, ECSServiceError, ConnectionFailed, CallTimeout, StartUnknown, StartCancelled,
            IdempotencyMismatch: as of `start_task`; or the definition or the instances could not be read.
        """
        source = source_of(cancel_scope, timeout)
        how = options_of(placement, constraints, instances, wait_for_capacity, confirm_refusals, on_capacity_shortage)
        async with self.batch(on_cancel=on_cancel, delivery=delivery, window=0.0) as batch:
            return await place_one(session_of(batch), request, source, how, idempotency_key)

    async def place_tasks(
        self,
        requests: StartTaskRequest | Iterable[StartTaskRequest] | AsyncIterable[StartTaskRequest],
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        count: int = 1,
        placement: Placement = Spread(),  # noqa: B008 frozen
        constraints: Iterable[Constraint] = (),
        instances: Iterable[str] | None = None,
        wait_for_capacity: float = 0.0,
        confirm_refusals: bool = False,
        idempotency_key: Callable[[StartTaskRequest], str] | None = None,
        on_capacity_shortage: OnCapacityShortage | None = None,
        on_cancel: OnCancel | None = None,
        delivery: Delivery | None = None,
    ) -> BatchReport:
        """Start tasks on container instances that aioecs chooses, as a scheduler would.

        The requests name no instances and may differ in everything: in task definition, size, overrides, cluster.
        They are drawn as they are needed. Starts that are equal but for the instance share a call, ten each.

        The cluster's ACTIVE instances are listed and described once and remembered; those without an agent, of another
        platform, without an attribute that the task definition requires, or without capacity for its CPU, memory, GPUs
        and ports are left out. Each start is debited locally. A start that ECS refuses where it was placed goes
        elsewhere while there is an elsewhere; an ambiguous one is never moved. What is remembered is never the reason
        of a refusal: before one, the instances are described again.

        Starts that find no capacity wait. The longest waiting is tried first; after 100 others have overtaken it, an
        instance is kept free for it. A task that is larger than every instance is refused at once.

        Args:
            requests: one template, or any number of requests.
            cancel_scope, timeout: as for `start_task`.
            count: how many tasks of a template, 1 or more.
            placement: `Spread(by)`, `Binpack(by)` or `Random()`; the tasks of the call are counted together.
            constraints: `DistinctInstance()`, `MemberOf(expression)`.
            instances: only these, by id or ARN.
            wait_for_capacity: how long each start waits for capacity, in seconds. Meanwhile the instances are listed
                and described again: every quarter of a second at first, later after a tenth of the time waited, ten
                seconds at most; and never with more than a quarter of the account's rate of reads.
            confirm_refusals: look a refused start up before it is moved. ECS's documentation does not say so, but a
                public thread has AWS support say that a refusal may not prove that nothing started.
            idempotency_key: gives a request a key of its own; what an earlier attempt of the key started, on whatever
                instance, is found and returned. A start with a key shares no call.
            on_capacity_shortage: a plain function that is called with a `CapacityDemand` whenever what is lacking has
                changed, on the loop, so it must be quick; by default the client's.
            on_cancel, delivery: as for `start_task`.

        Raises:
            InvalidRequest: the template or an option breaks a documented rule; nothing was sent. A request among many
                that does is NOT_SENT.
            ECSServiceError: the task definition or the instances of a template could not be read; nothing was sent.
                Those of a request among many leave it NOT_SENT.
            StartCancelled, StartTimeout: the scope or token fired, or the `timeout` is over; `starts` has what was
                drawn, all of a template's, in order.
        """
        source = source_of(cancel_scope, timeout)
        how = options_of(placement, constraints, instances, wait_for_capacity, confirm_refusals, on_capacity_shortage)
        async with self.batch(on_cancel=on_cancel, delivery=delivery) as batch:
            return await place_all(session_of(batch), requests, count, source, how, idempotency_key)
