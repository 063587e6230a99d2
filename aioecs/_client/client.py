"""The client: opening and closing it, and its starts of many tasks."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import cache
from types import TracebackType
from typing import Any, Self

import anyio

from aioecs._batch.batch import Batch, session_of
from aioecs._batch.batch_session import BatchSession
from aioecs._batch.placement.placed_starts import place_all, place_one
from aioecs._batch.placement.placement_context import OnCapacityShortage, PlacementContexts, options_of
from aioecs._calls.call_preparation import Preparer
from aioecs._client.run import Runs
from aioecs._client.starting import Starting
from aioecs._model import limits
from aioecs._model.batch_report import BatchReport
from aioecs._model.options import Delivery, OnCancel, Retries, Timeouts, choice, of_kind, plain_function
from aioecs._model.pacing import Pacing
from aioecs._model.placement import Constraint, Placement, Spread
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._runtime.cancellation_monitor import Cancellable, expect
from aioecs._runtime.client_core import Core, OnSettled
from aioecs._runtime.concurrency import ConcurrencyLimit
from aioecs._runtime.event_emitter import OnEvent, make_emitter
from aioecs._runtime.shared_limiter import SharedLimiter
from aioecs._transport.preloaded_transport import open_transport
from aioecs._transport.settings import Settings, Transport, redact_url
from aioecs._waiters.task_poller import TaskPoller
from aioecs.errors import ClientStateError


class Client(Starting, Runs):
    """An async client for Amazon ECS that never starts a task twice, never loses one, and never lies about one.

    An async context manager: `async with aioecs.Client(region_name="eu-west-1") as ecs: ...`. It may be entered in
    one task and left in another, of one event loop. Leaving it waits for calls that have not settled, `timeouts.drain`
    seconds at most; starts that are open then are logged as UNKNOWN with their token.

    Args:
        region_name: the Region; by default as botocore finds it.
        endpoint_url: another endpoint than the Region's own.
        profile_name: the profile in the AWS configuration to take settings and credentials from.
        session: an aiobotocore session; by default one of the client's own.
        config: an aiobotocore AioConfig. Its retries and timeouts don't count: `retries` and `timeouts` do.
        aws_access_key_id, aws_secret_access_key, aws_session_token: credentials; by default botocore's chain.
        timeouts: see `Timeouts`.
        retries: how often and how soon a request is sent again, see `Retries`.
        pacing: client-side rate limiting, see `Pacing`; None sends without a limit. Clients of a process that are
            known to share an account's bucket share what they learn.
        max_in_flight: number of requests at once; at most the size of the connection pool.
        on_cancel: what a cancel does about a request in flight: "stop" waits for the answer and stops what started,
            "keep" waits for it and leaves the tasks running, "abandon" returns at once, with outcome UNKNOWN.
        delivery: what is done about an ambiguous start that no lookup finds: "at_most_once" ends it as UNKNOWN,
            "at_least_once" sends it again and stops duplicates.
        on_settled: a plain function, called on the loop as `on_settled(starts, reason)` with outcomes for which no
            caller waits any more.
        on_event: a plain function, called on the loop as `on_event(event)` with each `Event`; it must be quick. What it
            raises is logged and affects no start. `aioecs.otel.Instrumentation()` is one. Without it, and unless the
            logger "aioecs" is at DEBUG when the client is entered, no event is created.
        on_capacity_shortage: a plain function that is called with a `CapacityDemand` where starts that aioecs places
            wait for capacity, or are refused for want of it, and whenever what is lacking has changed: to scale out.
        tag_tokens: put the token in the tag `aioecs:token` where a request has a `started_by` of its own, so that
            such starts can be told apart and adopted like others. Needs the permission to tag (TagResource).
        transport: "auto" uses the native transport, or aiobotocore's own client where the native one doesn't support
            the configuration: a proxy, handlers on the session's events, another signature than Version 4; "botocore"
            always uses aiobotocore's own client. `repr(client)` says which it is.

    Raises:
        InvalidRequest: an argument is not what it must be.
        ConfigurationError: on entering, if there is no Region, or settings contradict each other.
    """

    def __init__(
        self,
        region_name: str | None = None,
        *,
        endpoint_url: str | None = None,
        profile_name: str | None = None,
        session: Any = None,
        config: Any = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 frozen
        retries: Retries = Retries(),  # noqa: B008 frozen
        pacing: Pacing | None = Pacing(),  # noqa: B008 frozen
        max_in_flight: int = 50,
        on_cancel: OnCancel = "stop",
        delivery: Delivery = "at_most_once",
        on_settled: OnSettled | None = None,
        on_event: OnEvent | None = None,
        on_capacity_shortage: OnCapacityShortage | None = None,
        tag_tokens: bool = False,
        transport: Transport = "auto",
    ) -> None:
        self._settings = Settings(
            region_name=region_name,
            endpoint_url=endpoint_url,
            profile_name=profile_name,
            session=session,
            config=config,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            timeouts=of_kind(timeouts, Timeouts, "timeouts"),
            max_in_flight=limits.positive(max_in_flight, "max_in_flight"),
            transport=choice(transport, Transport, "transport"),
        )
        self._retries: Retries = of_kind(retries, Retries, "retries")
        self._pacing: Pacing | None = of_kind(pacing, Pacing, "pacing") if pacing is not None else None
        self._on_cancel: OnCancel = choice(on_cancel, OnCancel, "on_cancel")
        self._delivery: Delivery = choice(delivery, Delivery, "delivery")
        self._on_settled: OnSettled | None = plain_function(on_settled, "on_settled")
        self._on_event: OnEvent | None = plain_function(on_event, "on_event")
        self._on_capacity_shortage: OnCapacityShortage | None = plain_function(
            on_capacity_shortage, "on_capacity_shortage"
        )
        self._tag_tokens = tag_tokens
        self._opened: Core | None = None
        self._preparer: Preparer
        self._placement_contexts: PlacementContexts
        self._raw: Any = None
        self._transport: Any = None
        self._stack = AsyncExitStack()
        self._state = "not entered"

    # ---------------------------------------------------------------------------------------------- opening, closing

    async def __aenter__(self) -> Self:
        if self._state != "not entered":
            raise ClientStateError(f"this client is {self._state}: make a new one, it can be entered once")
        loop = _asyncio_loop()
        self._state = "open"
        try:
            if not _wake_anyio.cache_info().currsize:
                # In a context of its own: sniffio, where it is installed, keeps in a context variable that a loop runs.
                await loop.run_in_executor(None, contextvars.Context().run, _wake_anyio)
            self._transport, self._raw = await self._stack.enter_async_context(open_transport(self._settings))
        except BaseException:
            self._state = "closed"
            raise
        core = self._opened = Core(
            transport=self._transport,
            concurrency=ConcurrencyLimit(min(self._settings.max_in_flight, self._settings.pool_size)),
            timeouts=self._settings.timeouts,
            retries=self._retries,
            loop=loop,
            on_cancel=self._on_cancel,
            on_settled=self._on_settled,
            emit=make_emitter(self._on_event),
            start_limiter=SharedLimiter.shared(self._transport.rate_limit_key, "starts", self._pacing),
            read_limiter=SharedLimiter.shared(self._transport.rate_limit_key, "reads", self._pacing),
        )
        self._preparer = Preparer(
            core,
            region=None if self._settings.endpoint_url is not None else self._transport.region,
            rate_limited=self._pacing is not None,
            tag_tokens=self._tag_tokens,
        )
        self._placement_contexts = PlacementContexts(self._preparer, self._on_capacity_shortage)
        self._poller = TaskPoller(core, self._preparer.region, on_stopped=self._placement_contexts.task_ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        core = self._core()
        self._state = "closed"
        self._poller.close()
        with anyio.CancelScope(shield=True):
            try:
                await self._drain(core)
            finally:
                await self._stack.aclose()

    async def _drain(self, core: Core) -> None:
        """Wait for what is on its way, and end what is left then; a cancel shortens the wait to `settle`."""
        told_as = core.settling.begin(
            lambda: f"{len(core.background_tasks)} requests of the client that is left", core.timeouts.drain
        )
        try:
            await core.background_tasks.drained(core.timeouts.drain)
        except asyncio.CancelledError:
            await core.background_tasks.drained(core.timeouts.settle)
            raise
        finally:
            core.settling.end(told_as)
            core.closing = True
            core.background_tasks.cancel()
            await core.background_tasks.drained(core.timeouts.settle)
            core.deadlines.close()

    def _core(self) -> Core:
        """Return the inside of the client, if it may be used here."""
        core = self._opened
        if core is None or self._state != "open":
            raise ClientStateError(f"this client is {self._state}: use it inside `async with aioecs.Client(...)`")
        if core.loop is not asyncio.get_running_loop():
            raise ClientStateError("this client belongs to another event loop: make one per loop")
        return core

    def __repr__(self) -> str:
        core = self._opened
        if core is None or self._state != "open":
            return f"<aioecs.Client {self._state}>"
        return (
            f"<aioecs.Client open, {core.transport.region} at {redact_url(core.transport.endpoint_url)}, "
            f"{self._transport.kind} transport, "
            f"{core.concurrency.in_use}/{core.concurrency.size} in flight, {core.concurrency.waiting} waiting, "
            f"{len(core.background_tasks)} background tasks>"
        )

    @property
    def timeouts(self) -> Timeouts:
        """Return the clocks that it was made with."""
        return self._settings.timeouts

    @property
    def raw(self) -> Any:
        """The aiobotocore client beneath, for the rest of ECS. It sends each request once: its retries are off.

        Handlers that are put on its `meta.events` now see its own calls; they see aioecs's own only with
        `transport="botocore"`.
        """
        self._core()
        return self._raw

    def reached_by(self) -> tuple[Settings, str]:
        """Return how it reaches ECS, and its Region: for those parts of aioecs that reach other services likewise."""
        return self._settings, self._core().transport.region

    # ------------------------------------------------------------------------------------------------------ starting

    async def start_tasks(
        self,
        requests: Iterable[StartTaskRequest] | AsyncIterable[StartTaskRequest],
        cancel_scope: Cancellable | None = None,
        *,
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
            StartCancelled: the scope or token fired; `starts` has what was drawn until then, in order.
        """
        expect(cancel_scope)
        async with self.batch(idempotency_key=idempotency_key, on_cancel=on_cancel, delivery=delivery) as batch:
            return await session_of(batch).report(requests, cancel_scope, wait_for_capacity=wait_for_capacity)

    async def run_tasks(
        self,
        requests: Iterable[RunTaskRequest] | AsyncIterable[RunTaskRequest],
        cancel_scope: Cancellable | None = None,
        *,
        idempotency_key: Callable[[RunTaskRequest], str] | None = None,
        wait_for_capacity: float = 0.0,
        on_cancel: OnCancel | None = None,
    ) -> BatchReport:
        """Let ECS place and start the tasks of many requests, each of one to ten; one start never fails another.

        The requests are drawn as they are needed. Equal ones share calls of ten tasks, each call with a `client_token`
        of its own; `idempotency_key(request)` gives a request a key of its own, and it then shares no call.

        What ECS refuses for want of capacity is sent again for `wait_for_capacity` seconds from its first refusal: by
        default it is not. That are `RESOURCE:*`, what AWS Fargate says of its capacity or of the account's limit, and
        capacity providers without instances; any other reason is final. A request with a key or a `client_token` of its
        own is sent again only while none of its tasks runs, with the same token.

        Raises:
            InvalidRequest: an argument is not what it must be; what had been begun is withdrawn.
            StartCancelled: the scope or token fired; `starts` has what was drawn until then, in order.
        """
        expect(cancel_scope)
        async with self.batch(idempotency_key=idempotency_key, on_cancel=on_cancel) as batch:
            return await session_of(batch).run_report(requests, cancel_scope, wait_for_capacity=wait_for_capacity)

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
            drain: how long leaving the block waits for what is on its way, in seconds; None waits for all of it.
        """
        session = BatchSession(
            self._core(),
            self._preparer,
            self._placement_contexts,
            idempotency_key=idempotency_key,
            on_cancel=self._policy(on_cancel),
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
        expect(cancel_scope)
        how = options_of(placement, constraints, instances, wait_for_capacity, confirm_refusals, on_capacity_shortage)
        async with self.batch(on_cancel=on_cancel, delivery=delivery, window=0.0) as batch:
            return await place_one(session_of(batch), request, cancel_scope, how, idempotency_key)

    async def place_tasks(
        self,
        requests: StartTaskRequest | Iterable[StartTaskRequest] | AsyncIterable[StartTaskRequest],
        cancel_scope: Cancellable | None = None,
        *,
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
            cancel_scope: as for `start_task`.
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
            StartCancelled: the scope or token fired; `starts` has what was drawn, all of a template's, in order.
        """
        expect(cancel_scope)
        how = options_of(placement, constraints, instances, wait_for_capacity, confirm_refusals, on_capacity_shortage)
        async with self.batch(on_cancel=on_cancel, delivery=delivery) as batch:
            return await place_all(session_of(batch), requests, count, cancel_scope, how, idempotency_key)


def _asyncio_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop.

    Raises:
        ClientStateError: there is none; under trio there never is one.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ClientStateError(
            "no asyncio event loop runs here: aioecs runs on asyncio only, not on trio; without a loop use aioecs.sync"
        ) from None


@cache
def _wake_anyio() -> None:
    """Let anyio load what it has for asyncio, which it otherwise does in the first call; once a process."""
    anyio.run(anyio.sleep, 0)
