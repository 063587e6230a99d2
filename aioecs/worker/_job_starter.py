"""One try to start a message's job: the ledger is asked, the start made under a lease, and its end written down."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import uuid
from collections.abc import Awaitable, Callable

import anyio
import attrs

from aioecs import Batch, CancelToken, Client, find_start_error
from aioecs._client.access import check_each_send
from aioecs._model import StartTaskRequest, StopTaskRequest
from aioecs.errors import ECSError, InvalidRequest
from aioecs.worker._job_decisions import (
    TABLE,
    Act,
    Concluded,
    Fate,
    Happened,
    Intent,
    Lease,
    act,
    of_answer,
    of_claim,
    of_error,
)
from aioecs.worker._ledgers.claims import Entry, Verdict, checked_key, checked_size, fingerprint
from aioecs.worker._ledgers.ledger import EntryError, Ledger, LedgerError
from aioecs.worker._sqs.message import Message

ToRequest = Callable[[Message], StartTaskRequest | Awaitable[StartTaskRequest]]
Key = Callable[[Message], str]

_SURPLUS = "aioecs: started under a lease that was lost"
_AGAIN = 1.0  # in seconds, between two tries to reach a ledger
log = logging.getLogger("aioecs")


@attrs.define(eq=False)
class Job:
    """A message's job, as far as it is known here."""

    message: Message
    cluster: str | None = None
    """The cluster that its request names, once that was made."""
    lease: float = 0.0
    """Until when it is held, by whomever, in epoch seconds; 0 as long as no intent is known."""
    ours: set[str] = attrs.Factory(set[str])
    """What was started here under a lease that was lost: each is the job's, or one too many."""


@attrs.frozen
class AttemptResult:
    """What a try came to, and what is to be done about the message."""

    happened: Happened
    fate: Fate
    why: str = ""
    """For the log: names and codes, never a word of the message."""
    reasons: tuple[str, ...] = attrs.field(default=(), eq=False)
    """Why ECS refused, if it did."""
    arns: tuple[str, ...] = attrs.field(default=(), eq=False)
    """The tasks that were started, if all is settled."""
    started: int = attrs.field(default=0, eq=False)
    """Attempts that were started meanwhile, where the end of the tasks was waited for."""
    fatal: LedgerError | None = attrs.field(default=None, eq=False)
    """What no later try can mend."""


class Starter:
    """What starts jobs, each once, for a worker or a Lambda."""

    def __init__(
        self, client: Client, batch: Batch, ledger: Ledger, to_request: ToRequest, key: Key, lease: Lease
    ) -> None:
        self._client = client
        self._batch = batch
        self._ledger = ledger
        self._to_request = to_request
        self._key = key
        self._lease = lease
        self._under: dict[str, Job] = {}
        check_each_send(batch, self.may_send)

    def may_send(self, key: str) -> bool:
        """Tell whether the lease of a job lasts long enough for a request that is written now.

        It is asked in the step that writes: what can't be excluded is that the process is stopped between the two, and
        for so long that another has taken the job over. Such a start is found to be one too many, and stopped.
        """
        job = self._under.get(key) or self._under.get(key.rpartition("\0")[0])
        return job is not None and time.time() < self._lease.cutoff(job.lease)

    async def attempt(self, job: Job, stop: CancelToken, number: int = 0) -> AttemptResult:
        """Try to start it. When `stop` fires nothing new is begun, and what is on the wire is learnt.

        `number` counts the attempts of a job whose tasks failed; each has a key of its own.

        Cancelled, it leaves the intent as it is, for `job.lease` seconds: whoever comes then looks the token up.
        """
        try:
            request, key = await self._read(job.message)
        except Exception as error:  # noqa: BLE001 the user's function; whatever it raises, the message is the cause
            return _tried(Happened.UNREADABLE, type(error).__name__)
        try:
            request, key = _checked(request, key)
            job.cluster, key = request.cluster, attempt_key(key, number)
        except InvalidRequest as error:
            return _tried(Happened.UNREADABLE, _rule(error))
        if stop.cancelled:
            return _tried(Happened.WITHDRAWN)
        wish = self._wish(key, request)
        try:
            job.lease = wish.lease  # a claim that is cut may have been written
            claimed = await self._ledger.claim(wish, now=time.time(), skew=self._lease.skew)
        except EntryError as error:
            job.lease = 0.0
            return _tried(Happened.UNREADABLE, str(error))
        except LedgerError as error:
            return attrs.evolve(_tried(Happened.LEDGER_DOWN, str(error)), fatal=error if error.permanent else None)
        job.lease = claimed.entry.lease
        happened = of_claim(claimed.verdict)
        if happened is None:
            return await self._start(job, request, claimed.entry, stop, inherited=claimed.entry.begun != wish.begun)
        if claimed.verdict is Verdict.SETTLED:
            await self._stop_surplus(job, claimed.entry.arns or ())
        return attrs.evolve(_tried(happened), arns=claimed.entry.arns or ())

    def _wish(self, key: str, request: StartTaskRequest) -> Entry:
        """Return the intent to write down."""
        now = time.time()
        return Entry(
            key=key,
            holder=uuid.uuid4().hex,
            lease=now + self._lease.length,
            begun=round(now, 3),  # it is compared, and a ledger may keep no more than milliseconds
            fingerprint=fingerprint(key, request),
            instances=tuple(request.container_instances),
        )

    async def _read(self, message: Message) -> tuple[object, object]:
        made = self._to_request(message)
        request = await made if inspect.isawaitable(made) else made
        return request, self._key(message)

    # ------------------------------------------------------------------------------------------------- under a lease

    async def _start(
        self, job: Job, request: StartTaskRequest, entry: Entry, stop: CancelToken, *, inherited: bool
    ) -> AttemptResult:
        """Start it on the instances that the ledger has, for another may have begun there."""
        request = request.replace(container_instances=entry.instances)
        token = CancelToken.linked(stop)
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self._renew(job, entry, token), name="aioecs lease")
            try:
                self._under[entry.key] = job
                concluded = await self._concluded(request, entry.key, token)
                what = act(concluded.happened, inherited=inherited, proven=concluded.proven)
                tried = await self._written(job, entry, concluded, what, stop)
            finally:
                renewing.cancel()
                if self._under.get(entry.key) is job:
                    del self._under[entry.key]
        arns = concluded.arns if tried.happened is Happened.STARTED else ()
        return attrs.evolve(tried, why=tried.why or concluded.why, reasons=concluded.reasons, arns=arns)

    async def _concluded(self, request: StartTaskRequest, key: str, token: CancelToken) -> Concluded:
        try:
            return of_answer(await self._batch.start_task(request, token, idempotency_key=key))
        except InvalidRequest as error:
            return attrs.evolve(of_error(error), why=_rule(error))
        except ECSError as error:
            concluded = of_error(error)
            name = str(getattr(error, "code", "")) or type(error).__name__
            return attrs.evolve(concluded, why=concluded.why or name)
        except asyncio.CancelledError as cut:
            if (truth := find_start_error(cut)) is not None and truth.tasks:
                log.warning("a start was cut off before the ledger knew of %s", [task.task_arn for task in truth.tasks])
            raise

    async def _renew(self, job: Job, entry: Entry, token: CancelToken) -> None:
        """Keep the lease; where that can't be done in time, see to it that nothing more is sent under it."""
        rest = self._lease.rest
        while (left := self._lease.cutoff(job.lease) - time.time()) > 0:
            await anyio.sleep(min(rest, left))
            until = time.time() + self._lease.length
            try:
                with anyio.move_on_after(max(0.0, self._lease.cutoff(job.lease) - time.time())) as clock:
                    if not await self._ledger.renew(entry.key, entry.holder, until=until):
                        token.cancel("the job is another's")
                        return
                    job.lease = until
                rest = min(rest, _AGAIN) if clock.cancelled_caught else self._lease.rest
            except LedgerError:
                rest = min(self._lease.rest, _AGAIN)
        token.cancel("the lease could not be renewed")

    async def _written(
        self, job: Job, entry: Entry, concluded: Concluded, what: Act, stop: CancelToken
    ) -> AttemptResult:
        """Write down in the ledger what came of it."""
        if what.intent is Intent.SETTLE:
            return await self._settled(job, entry, concluded, stop)
        if what.intent is Intent.RELEASE:
            try:
                await self._ledger.release(entry.key, entry.holder)
            except LedgerError as error:
                return AttemptResult(
                    concluded.happened, Fate.LEASE if what.fate is not Fate.REDRIVE else what.fate, str(error)
                )
            job.lease = 0.0
        return AttemptResult(concluded.happened, what.fate)

    async def _settled(self, job: Job, entry: Entry, concluded: Concluded, stop: CancelToken) -> AttemptResult:
        """Write the tasks down, as long as the lease lasts; else whoever comes next finds them by their token."""
        while True:
            try:
                if await self._ledger.settle(entry.key, entry.holder, concluded.arns):
                    await self._stop_surplus(job, concluded.arns)
                    return _tried(Happened.STARTED)
                job.ours.update(concluded.arns)
                return _tried(Happened.LOST)
            except LedgerError as error:
                if stop.cancelled or time.time() >= job.lease:
                    return _tried(Happened.UNKNOWN, str(error))
            with anyio.move_on_after(_AGAIN):
                await stop.wait()

    async def _stop_surplus(self, job: Job, settled: tuple[str, ...]) -> None:
        """Stop what was started here besides what the ledger has: it is one too many, of a lease that was lost."""
        for arn in sorted(job.ours - set(settled)):
            cluster = arn.rpartition(":task/")[2].rpartition("/")[0] or None
            try:
                await self._client.stop_task(StopTaskRequest(cluster=cluster, task=arn, reason=_SURPLUS))
            except ECSError as error:
                log.error("task %s is one too many of its job and could not be stopped: %s", arn, type(error).__name__)
            else:
                log.warning("task %s was one too many of its job, and is stopped: its lease was lost", arn)
        job.ours.clear()


def attempt_key(key: str, number: int) -> str:
    """Return the key of an attempt: after a failure the next one, as `restart="if_failed"` of `start_task` makes it."""
    return f"{key}\0restart {number}" if number else key


def _checked(request: object, key: object) -> tuple[StartTaskRequest, str]:
    """Return what the user's functions made of a message, if a ledger and a worker can do something with it."""
    if not isinstance(request, StartTaskRequest):
        raise InvalidRequest("to_request", "returns a StartTaskRequest", f"a {type(request).__name__}")
    if not request.container_instances:
        raise InvalidRequest("container_instances", "at least one: a worker doesn't place tasks")
    name = checked_key(key)
    checked_size(name, tuple(request.container_instances))
    return request, name


def _rule(error: InvalidRequest) -> str:
    """Name what is broken without what stands there, which may be a word of the message."""
    return f"InvalidRequest: {error.path}: {error.rule}"


def _tried(happened: Happened, why: str = "") -> AttemptResult:
    return AttemptResult(happened, TABLE[happened].fate, why)
