"""Who asks an engine for starts: one caller with one request, or a stream of many requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sequence, Sized
from functools import partial

import anyio
import attrs

from aioecs._batch.engine import STARTED, BatchCall, Engine, TakenBack, never_sent
from aioecs._calls.caller_wait import refuse_if_cancelled
from aioecs._logic.calls.call_result import cancelled_of, verdict_of
from aioecs._logic.sending.packing import FLYING, QUEUED, Entry, Group, instances_of
from aioecs._model.limits import INSTANCES_PER_CALL, expect
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.start_result import StartResult
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, fired, reason_of, resolve
from aioecs._runtime.client_core import Core
from aioecs._runtime.event_emitter import emit_start_settled
from aioecs._runtime.settling_log import SettlingLog
from aioecs.errors import (
    AccessDeniedException,
    ClientStateError,
    ClusterNotFoundException,
    ConfigurationError,
    ECSError,
    ECSServiceError,
    InvalidRequest,
    StartCancelled,
    StartIncomplete,
)

Requests = Iterable[StartTaskRequest] | AsyncIterable[StartTaskRequest]
SPELL = 0.001  # in seconds: how long requests are drawn between two looks at what has settled
AHEAD = 2  # calls' worth of starts that are drawn for each that may fly: more would only grow old in the collector
AT_LEAST = 80  # starts that are drawn ahead, however few may fly


def known_of(entry: Entry) -> StartResult:
    """Say what is known of a start that has not settled."""
    if entry.stage is FLYING:
        where: BatchCall | TakenBack = entry.where
        return where.start_of(entry)
    return never_sent(entry)


class PendingRequest:
    """One caller's request: it is answered when each of its starts has settled."""

    def __init__(self, engine: Engine, request: StartTaskRequest | RunTaskRequest, groups: Sequence[Group]) -> None:
        """Take the request, and the group of each ten of its instances."""
        self._engine = engine
        self._starts: list[StartResult | None] = [None] * len(instances_of(request))
        self._entries = [Entry(request, instance, self, at) for at, instance in enumerate(instances_of(request))]
        self._groups = groups
        self._open = len(self._entries)
        self._error: ECSError | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._left: str | None = None
        self._unheard = False

    def begin(self) -> None:
        """Queue its starts."""
        for entry in self._entries:
            self._engine.add(entry, self._groups[entry.at // INSTANCES_PER_CALL])

    @property
    def can_be_cut(self) -> bool:
        """Whether leaving it ends it at once: nothing of it is on the wire."""
        flying = (entry for entry in self._entries if entry.stage is FLYING)
        return all(entry.where.can_be_cut for entry in flying)

    def join(self) -> None:
        """Wait for it; there is one caller only."""

    @property
    def ended(self) -> bool:
        """Whether each of its starts has settled."""
        return not self._open

    def end_or(self) -> asyncio.Future[None]:
        """Return a future that its end resolves."""
        waiter: asyncio.Future[None] = self._engine.core.loop.create_future()
        if self.ended:
            waiter.set_result(None)
        else:
            self._waiters.append(waiter)
        return waiter

    def settled(self, entry: Entry, start: StartResult, error: ECSError | None, _: BatchCall | None, /) -> None:
        """Hear what one of its starts came to."""
        self._starts[entry.at] = start
        own = start.error if isinstance(error, StartIncomplete) else error  # which counts the others' starts too
        self._error = self._error or own
        self._open -= 1
        if self._open:
            return
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            resolve(waiter)
        if self._unheard:
            self._engine.core.report(self.starts(), self._left)

    def leave(self, on_cancel: OnCancel, why: str) -> None:
        """Withdraw it; what has settled was not given to its caller yet, and is taken back."""
        self._left = why
        for at, start in enumerate(self._starts):
            if start is not None and self._engine.take_back(self._entries[at], start, on_cancel):
                self._starts[at] = None
                self._open += 1
        self._engine.withdraw_some(self._entries, on_cancel, why)

    def outcome_undelivered(self, *, once_ended: bool = True) -> None:
        """Say that no caller is left to hear the outcome."""
        if not self.ended:
            self._unheard = True
        elif once_ended:
            self._engine.core.report(self.starts(), self._left)

    def starts(self) -> tuple[StartResult, ...]:
        """Say what its starts came to, as far as is known."""
        pairs = zip(self._entries, self._starts, strict=True)
        return tuple(start if start is not None else known_of(entry) for entry, start in pairs)

    @property
    def settling(self) -> SettlingLog:
        """Where to say what is waited for."""
        return self._engine.core.settling

    def described(self) -> str:
        """Say in a few words what it is."""
        tokens = sorted({start.token for start in self.starts() if start.token})
        return f"{self._open} starts of a batch with the tokens {', '.join(tokens[:3])}"

    def given(self) -> None:
        """Its one caller is told; a cancel comes too late from here on."""

    def verdict(self) -> StartTaskResponse | RunTaskResponse | ECSError:
        """Return what it came to, once it has ended."""
        return verdict_of(self.starts(), self._error)

    def cancelled(self, reason: str | None, source: object) -> StartCancelled:
        """Return what a cancelled caller is told."""
        return cancelled_of(self.starts(), reason, source)


def ends_all(error: ECSError | None) -> bool:
    """Tell whether an error would meet every further start of the same kind just so."""
    if isinstance(error, (AccessDeniedException, ClusterNotFoundException, ConfigurationError)):
        return True
    codes = ("ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredToken")
    return isinstance(error, ECSServiceError) and error.code in codes


@attrs.frozen(eq=False)
class _Again:
    """Hears of a start that was taken back after it had settled: whoever chose its instance has heard of that."""

    stream: StartStream

    def settled(self, entry: Entry, start: StartResult, error: ECSError | None, _: BatchCall | None, /) -> None:
        """Hear what it came to in the end."""
        StartStream.settled(self.stream, entry, start, error, None)


class StartStream:
    """Many requests: drawn as they are needed, their starts given out as they settle."""

    def __init__(
        self,
        engine: Engine,
        group_of: Callable[[StartTaskRequest, int], Group],
        on_cancel: OnCancel,
        source: Cancellable | None,
        *,
        keep: bool = False,
    ) -> None:
        self._engine = engine
        self._core: Core = engine.core
        self._group_of = group_of
        self._on_cancel: OnCancel = on_cancel
        self._source = source
        self._kept: dict[int, StartResult] | None = {} if keep else None
        self._gives = True
        self._out: deque[StartResult] = deque()
        self._entries: dict[int, Entry] = {}
        self.waiting: Sized = ()  # the starts that wait for capacity
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._most = max(AHEAD * INSTANCES_PER_CALL * engine.core.concurrency.size, AT_LEAST)
        self._drawn = 0
        self._exhausted = False
        self._leaving = False
        self._fired = self._given_up = False
        self._feeder: asyncio.Task[None] | None = None
        self._broken: BaseException | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._told_as = -1
        self._stopped: ECSError | None = None
        self._fresh: dict[int, StartResult] = {}
        """What has settled since the caller's task last went on, where it is given the whole in the end."""
        self._shared: set[str] = set()
        """Tokens of calls that other callers wait for too."""
        self.error: ECSError | None = None
        """What the first call was told that came to no answer."""

    # ------------------------------------------------------------------------------------------------ giving out

    async def starts(self, requests: Requests) -> AsyncGenerator[StartResult]:
        """Give out the starts as they settle.

        Whatever ends it early, an error of the requests' own among it, withdraws what is on its way and waits until
        that has settled; what was not given out is then told by a StartCancelled behind what is raised.
        """
        await refuse_if_cancelled(None, partial(cancelled_of, ()))
        try:
            with CancellationMonitor.here().watch(self._source, self._fire):
                if self._source is not None and fired(self._source):
                    self._fire()
                drawing = self._begin_drawing(requests)
                while True:
                    while self._out and not self._fires_now():
                        yield self._next_out()
                    self._take()
                    self._room.set()
                    if self._broken is not None:
                        raise self._broken
                    self._go_on()
                    if not self._exhausted and self._feeder is None and self._wants_more():
                        self._draw(drawing, isinstance(requests, Sized))
                        await asyncio.sleep(0)
                    elif self._exhausted and not self._entries and not self._out:
                        if not await self._more() and not self._out and not self._fires_now():
                            return
                    elif not self._out:
                        self._news.clear()
                        await self._news.wait()
        except asyncio.CancelledError as first:
            await self._settle()
            raise first from self._untold(None)
        except Exception as error:
            await self._settle()
            told = self._untold(f"the requests raised {type(error).__name__}")
            told.__context__, error.__context__ = error.__context__, told
            raise
        finally:
            if self._feeder is not None:
                self._feeder.cancel()
            self._abandon()
            self._tell_rest()
            self._core.report(tuple(self._out), "left")

    async def report(self, requests: Requests) -> None:
        """Start them all, and give nothing out: `kept` tells what they came to."""
        self._gives = False
        async for _ in self.starts(requests):
            pass

    def _begin_drawing(self, requests: Requests) -> Iterator[StartTaskRequest]:
        if not isinstance(requests, AsyncIterable):
            return iter(requests)
        if not self._leaving:
            self._feeder = self._core.background_tasks.own(self._feed(requests), "aioecs draws requests")
        self._exhausted = self._leaving
        return iter(())

    def _untold(self, reason: str | None) -> StartCancelled:
        """Tell of the starts that nobody has been given."""
        starts = self.kept() if self._kept is not None else tuple(self._out)
        self._tell_rest()
        self._out.clear()
        return cancelled_of(starts, reason, None)

    async def _settle(self) -> None:
        """Wait until all has settled, `settle` seconds at most, or until a second cancel."""
        self._fire()
        with anyio.CancelScope(shield=True):
            try:
                while self._entries:
                    self._news.clear()
                    await self._news.wait()
            except asyncio.CancelledError:
                self._give_up()

    def kept(self) -> tuple[StartResult, ...]:
        """Return all starts, in the order of requests and instances."""
        kept = self._kept or {}
        return tuple([kept[at] for at in sorted(kept)])

    def open_starts(self) -> list[StartResult]:
        """Return what is known of each start that was drawn and that nobody has been given yet."""
        return [*self._out, *map(self._known_of, self._entries.values())]

    def _known_of(self, entry: Entry) -> StartResult:
        return known_of(entry)

    @property
    def _tells_undrawn(self) -> bool:
        """Whether, after an end from outside, the rest of what has a size is told as not sent."""
        return True

    def _described(self) -> str:
        tokens = sorted({start.token for start in map(known_of, self._entries.values()) if start.token})
        return f"{len(self._entries)} starts with the tokens {', '.join(tokens[:3])}"

    def _longest_wait(self) -> float:
        return 0.0 if self._on_cancel == "abandon" else self._core.timeouts.settle

    def settled(self, entry: Entry, start: StartResult, error: ECSError | None, _: BatchCall | None, /) -> None:
        """Hear what one start came to."""
        if self._entries.pop(entry.at, None) is None:
            if not self._given_up and self._core.emit is not None:  # else it was told of as it was then
                emit_start_settled(self._core.emit, (start,))
            self._core.report((start,), "left")
            return
        if entry.kept:
            self._shared.add(start.token)
        self._give(entry.at, start)
        if self.error is None:
            self.error = error
        if error is not None and self._stopped is None and start.outcome is not STARTED and ends_all(error):
            self._stop(error)

    def _give(self, at: int, start: StartResult) -> None:
        if self._kept is not None:
            self._kept[at] = start
        if self._gives:
            self._out.append(start)
        else:
            self._fresh[at] = start
        self._news.set()

    # --------------------------------------------------------------------------------------------------- drawing

    def _wants_more(self) -> bool:
        return len(self._entries) + len(self._out) < self._most

    def _draw(self, requests: Iterator[StartTaskRequest], sized: bool) -> None:
        """Draw some; after an end from outside, the rest of what has a size is told as not sent."""
        clock = self._core.loop.time
        ends = clock() + SPELL
        while self._wants_more() and clock() < ends:
            if self._leaving and not (sized and self._tells_undrawn):
                self._exhausted = True
                return
            try:
                self._add(next(requests))
            except StopIteration:
                self._exhausted = True
                return
            except Exception as error:  # noqa: BLE001 the caller's own, which goes to the caller
                self._broken = error
                return

    def _go_on(self) -> None:
        """Do what has become due while somebody draws from the stream."""

    async def _more(self) -> bool:
        """Go on where all that was drawn has settled; False when there is nothing left to do."""
        return False

    def _next(self) -> int:
        """Number one more start."""
        self._drawn += 1
        return self._drawn - 1

    def _queue(self, entry: Entry, group: Group, *, again: bool = False) -> None:
        self._entries[entry.at] = entry
        self._engine.add(entry, group, again=again)

    def _tell(self, entry: Entry, error: ECSError | None) -> None:
        """Tell of a start that never came into the queue."""
        start = never_sent(entry, error)
        if self.error is None:
            self.error = error
        self._engine.count(start)
        self._give(entry.at, start)

    async def _feed(self, requests: AsyncIterable[StartTaskRequest]) -> None:
        try:
            async for request in requests:
                self._add(request)
                while not self._wants_more():
                    self._room.clear()
                    await self._room.wait()
        except asyncio.CancelledError:
            if not self._leaving:
                self._broken = ClientStateError("the requests were drawn no further: their drawing was cancelled")
            raise
        except Exception as error:  # noqa: BLE001 the caller's own, which goes to the caller
            self._broken = error
        finally:
            self._exhausted = True
            self._news.set()

    def _add(self, request: StartTaskRequest) -> None:
        """Queue the starts of a request; one that breaks a rule is told as not sent, and fails no other."""
        if type(request) is not StartTaskRequest:
            expect(request, StartTaskRequest)
        held = request.container_instances
        instances = held if isinstance(held, tuple) and held else ("",)
        error = self._stopped
        group: Group | None = None
        for at, instance in enumerate(instances):
            if at % INSTANCES_PER_CALL == 0 and not self._leaving and error is None:
                try:
                    group = self._group_of(request, at)
                except InvalidRequest as broken:
                    error, group = broken, None
            entry = Entry(request, instance, self, self._drawn)
            self._drawn += 1
            if group is None:
                self._tell(entry, error)
            else:
                self._queue(entry, group)

    # ------------------------------------------------------------------------------------------------------ ends

    def _leave(self) -> None:
        """Draw no more."""
        self._leaving = True
        if self._feeder is not None:
            self._feeder.cancel()
            self._exhausted = True
        self._news.set()

    def _fires_now(self) -> bool:
        """Look at the scope or token once more, in the last moment before the caller is given the end."""
        if self._fired or self._source is None or not fired(self._source):
            return False
        self._fire()
        return True

    def _fire(self) -> None:
        """Draw no more, and withdraw what is on its way."""
        if not self._fired:
            self._fired = True
            self._leave()
            self._patience = self._core.loop.call_later(self._longest_wait(), self._give_up)
            self._told_as = self._core.settling.begin(self._described, self._longest_wait())
            self._withdraw(reason_of(self._source) or "cancelled")

    def _stop(self, error: ECSError | None) -> None:
        """End early: what is queued would only meet the same error."""
        self._stopped = error
        self._leave()
        queued = [entry for entry in self._entries.values() if entry.stage is QUEUED]
        self._engine.withdraw_some(queued, "keep", "ended early")

    def _withdraw(self, why: str) -> None:
        """Withdraw what is on its way, and take back what has settled and was not given to the caller."""
        entries = list(self._entries.values())
        self._take_back()
        self._engine.withdraw_some(entries, self._on_cancel, why)

    def _next_out(self) -> StartResult:
        """Hand the next start to the caller; from here on what it was told stays true."""
        start = self._out.popleft()
        if self._core.emit is not None:
            emit_start_settled(self._core.emit, (start,))
        return start

    def _take(self) -> None:
        """Take what has settled into the report, in the caller's own task: from here on it is the caller's."""
        if not self._fresh or self._fires_now():
            return
        fresh, self._fresh = self._fresh, {}
        if self._core.emit is not None:
            emit_start_settled(self._core.emit, tuple(fresh.values()))

    def _tell_rest(self) -> None:
        fresh, self._fresh = self._fresh, {}
        if self._core.emit is not None:
            emit_start_settled(self._core.emit, (*self._out, *fresh.values()))

    def _take_back(self) -> None:
        """Stop what has settled and was not given to the caller."""
        self._out = deque([start for start in self._out if not self._takes_back(self._next(), start)])
        for at in [at for at, start in self._fresh.items() if self._takes_back(at, start)]:
            del self._fresh[at]
            if self._kept is not None:
                del self._kept[at]

    def _takes_back(self, at: int, start: StartResult) -> bool:
        entry = Entry(start.request, start.container_instance, _Again(self), at, kept=start.token in self._shared)
        if not self._engine.take_back(entry, start, self._on_cancel):
            return False
        self._entries[at] = entry
        return True

    def _give_up(self) -> None:
        """Wait no longer: tell what is known now; what it comes to in the end is reported."""
        self._given_up = True
        entries, self._entries = self._entries, {}
        for at, entry in entries.items():
            self._give(at, self._known_of(entry))
        self._news.set()

    def _abandon(self) -> None:
        """Withdraw what nobody will hear of any more."""
        if self._patience is not None:
            self._patience.cancel()
            self._core.settling.end(self._told_as)
        self._take_back()
        entries, self._entries = self._entries, {}
        self._engine.withdraw_some(entries.values(), self._on_cancel, "left")

    @property
    def was_cancelled(self) -> bool:
        """Whether the passed scope or token ended it."""
        return self._source is not None and self._fired and fired(self._source)
