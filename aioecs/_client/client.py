"""The client: what it is made with, and how it is opened and closed."""

from __future__ import annotations

import asyncio
import contextvars
import warnings
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import cache
from types import TracebackType
from typing import Any, Self

import anyio

from aioecs._batch.placement.placement_context import OnCapacityShortage, PlacementContexts
from aioecs._calls.call_preparation import Preparer
from aioecs._client.access import Access
from aioecs._client.loop_end import REMEDY, warn_left_open, watch_loop_end
from aioecs._client.run import Runs
from aioecs._client.starting_many import StartingMany
from aioecs._model import limits
from aioecs._model.options import Delivery, OnCancel, Retries, Timeouts, choice, of_kind, plain_function
from aioecs._model.pacing import Pacing
from aioecs._runtime.client_core import Core, OnSettled
from aioecs._runtime.concurrency import ConcurrencyLimit
from aioecs._runtime.event_emitter import OnEvent, make_emitter
from aioecs._runtime.shared_limiter import SharedLimiter
from aioecs._transport.preloaded_transport import open_transport
from aioecs._transport.settings import Settings, Transport, redact_url
from aioecs._waiters.task_poller import TaskPoller
from aioecs.errors import ClientStateError


class Client(StartingMany, Runs):
    """An async client for Amazon ECS that never starts a task twice, never loses one, and never lies about one.

    An async context manager: `async with aioecs.Client(region_name="eu-west-1") as ecs: ...`; or `aopen` and `aclose`,
    for frameworks. It may be opened in one task and closed in another, of one event loop. Closing it waits for calls
    that have not settled, `timeouts.drain` seconds at most; starts that are open then are logged as UNKNOWN with their
    token. A client that is still open at the end of its event loop is closed then, and a warning says so.

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
            such starts can be distinguished and adopted like others. Needs the permission to tag (TagResource).
        transport: "auto" uses the native transport, or aiobotocore's own client where the native one doesn't support
            the configuration: a proxy, handlers on the session's events, another signature than Version 4; "botocore"
            always uses aiobotocore's own client. `repr(client)` says which it is.

    Raises:
        InvalidRequest: an argument is not what it must be.
        ConfigurationError: on entering, if there is no Region, or settings contradict each other.
    """

    _state = "not entered"

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
        self._closed = asyncio.Event()
        self._loop_end: AsyncGenerator[None]

    # ---------------------------------------------------------------------------------------------- opening, closing

    async def __aenter__(self) -> Self:
        return await self.aopen()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aopen(self) -> Self:
        """Open the client, and return it: what `async with` does, for frameworks that open and close separately.

            ecs = await aioecs.Client(region_name="eu-west-1").aopen()
            ...
            await ecs.aclose()

        Open and close it in any tasks of one event loop. A cancel leaves nothing open.

        Raises:
            ClientStateError: it was opened before; make a new one.
            ConfigurationError: there is no Region, or settings contradict each other.
        """
        if self._state != "not entered":
            raise ClientStateError(f"this client is {self._state}: make a new one, it can be opened once")
        loop = _asyncio_loop()
        self._state = "opening"
        try:
            await self._open(loop)
        except BaseException:
            self._state = "closed"
            await self._stack.aclose()
            raise
        self._state = "open"
        return self

    async def aclose(self) -> None:
        """Close the client; a second time does nothing, and at the same time waits for the first.

        Waits for what is in flight, `timeouts.drain` seconds at most; a cancel shortens that to `timeouts.settle`.
        Starts that are open then are logged as UNKNOWN with their token. New calls are refused from now on.

        Raises:
            ClientStateError: it is being opened, or belongs to another event loop.
        """
        if self._state == "closing":
            await self._closed.wait()
        elif self._state in ("not entered", "closed"):
            self._state = "closed"
        else:
            core = self._core()
            self._state = "closing"
            try:
                await self._close(core)
            finally:
                self._state = "closed"
                self._closed.set()

    async def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        if not _wake_anyio.cache_info().currsize:
            # In a context of its own: sniffio, where it is installed, keeps in a context variable that a loop runs.
            await loop.run_in_executor(None, contextvars.Context().run, _wake_anyio)
        self._transport, self._raw = await self._stack.enter_async_context(open_transport(self._settings))
        core = self._opened = Core(
            transport=self._transport,
            concurrency=ConcurrencyLimit(min(self._settings.max_in_flight, self._settings.pool_size)),
            timeouts=self._settings.timeouts,
            retries=self._retries,
            loop=loop,
            on_cancel=self._on_cancel,
            on_settled=self._on_settled,
            owner=self,
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
        self._loop_end = watch_loop_end(self._left_open)
        await anext(self._loop_end)

    async def _close(self, core: Core) -> None:
        core.caller_waits.close()
        self._poller.close()
        self._close_logs()
        with anyio.CancelScope(shield=True):
            try:
                await self._drain(core)
            finally:
                await self._loop_end.aclose()
                await self._stack.aclose()

    async def _left_open(self) -> None:
        """Close the client of an event loop that ends, and warn of it."""
        core = self._opened
        if core is None or self._state != "open":
            return
        where = f"{core.transport.region} at {redact_url(core.transport.endpoint_url)}"
        open_requests = len(core.background_tasks)
        self._state = "closed"
        self._closed.set()
        try:
            self._poller.close()
            self._close_logs()
            await self._end_background_tasks(core)
            await self._stack.aclose()
        finally:
            warn_left_open(f"an aioecs.Client ({where})", open_requests)

    def __del__(self) -> None:
        if self._state == "open":
            text = f"an aioecs.Client was left open, and its event loop has ended: {REMEDY}"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)

    async def _drain(self, core: Core) -> None:
        """Wait for what is in flight, and end what is left then; a cancel shortens the wait to `settle`."""
        number = core.settling.begin(
            lambda: f"{len(core.background_tasks)} requests of the client that is closed", core.timeouts.drain
        )
        try:
            await core.background_tasks.drained(core.timeouts.drain)
        except asyncio.CancelledError:
            await core.background_tasks.drained(core.timeouts.settle)
            raise
        finally:
            core.settling.end(number)
            await self._end_background_tasks(core)

    async def _end_background_tasks(self, core: Core) -> None:
        """End what is in flight: each open start is reported as it is known, UNKNOWN if its request was sent."""
        core.end()
        await core.background_tasks.drained(core.timeouts.settle)
        core.deadlines.close()

    def _core(self) -> Core:
        """Return the inside of the client, if it may be used here."""
        core = self._opened
        if core is None or self._state != "open":
            text = "use it inside `async with aioecs.Client(...)`, or between `await client.aopen()` and `aclose()`"
            raise ClientStateError(f"this client is {self._state}: {text}")
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

    def _access(self) -> Access:
        core = self._core()
        return Access(self._settings, core.transport.region, core.emit, core.caller_waits)


def access_of(client: Client) -> Access:
    """Return how a client reaches AWS, for those parts of aioecs that reach other services likewise.

    Raises:
        ClientStateError: the client is not open.
    """
    return client._access()  # noqa: SLF001 of this module  # pyright: ignore[reportPrivateUsage]


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
