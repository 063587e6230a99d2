"""The worker with each of its ledgers: as it ends, with poison in its queue, and paused before a send."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from moto_queue import SESSION, queue_setup, running, serialized_moto_server, short_delays, until

import aioecs
from aioecs import Batch
from aioecs._batch.engine import Engine
from aioecs._batch.placement.placement_context import options_of
from aioecs._calls.call import Call
from aioecs._transport.botocore.botocore_transport import BotocoreTransport
from aioecs._transport.botocore.sent_body import MarkedBody
from aioecs._transport.native.connection import Connection
from aioecs._transport.native.native_transport import NativeTransport
from aioecs._transport.transport import SentMarker
from aioecs.testing import Fault, ThreadedECS
from aioecs.worker import ClaimOutcome, DynamoDBLedger, Entry, Ledger, MemoryLedger, Message, SQLiteLedger
from aioecs.worker._jobs.decisions import JobOutcome
from aioecs.worker._jobs.job import AttemptResult, Job
from aioecs.worker._jobs.job_starter import JobStarter
from aioecs.worker._jobs.timing import make_lease

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

Kind = Literal["memory", "sqlite", "dynamodb"]
each_ledger = pytest.mark.parametrize("kind", ["memory", "sqlite", "dynamodb"])


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Run moto's server."""
    with serialized_moto_server() as url:
        yield url


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")


MakeLedger = Callable[[], Ledger]


@pytest.fixture
async def make_ledger(kind: Kind, moto: str, keys: None, tmp_path: Path) -> MakeLedger:
    """Return what makes ledgers that keep the same jobs, with nothing in them."""
    if kind == "memory":
        one = MemoryLedger()
        return lambda: one
    if kind == "sqlite":
        return lambda: SQLiteLedger(tmp_path / "jobs.db")
    table = uuid.uuid4().hex
    async with DynamoDBLedger(table, region_name="us-east-1", endpoint_url=moto, session=SESSION) as ledger:
        await ledger.create_table()
    return lambda: DynamoDBLedger(table, endpoint_url=moto)


async def claim_outcomes(ledger: Ledger, jobs: list[str]) -> set[ClaimOutcome]:
    """Claim each job, now, and return what that comes to."""
    now = time.time()
    async with ledger:
        claimed = [
            await ledger.claim(
                Entry(key=job, holder="probe", lease=now, begun=now, fingerprint="f", instances=()), now=now, skew=0
            )
            for job in jobs
        ]
    return {each.outcome for each in claimed}


# Shutdown ------------------------------------------------------------------------------------------------------------


@each_ledger
async def test_what_was_not_sent_is_free_and_visible_at_once(moto: str, kind: Kind, make_ledger: MakeLedger) -> None:
    """A worker that ends leaves no intent behind of what it has not sent, and hides no message."""
    async with queue_setup(moto) as world:
        jobs = [f"job-{n}" for n in range(10)]
        world.local.faults.add(Fault("throttle", times=None))
        await world.send(*jobs)
        ledger = make_ledger()
        # A lease that a slow machine renews in time: none ends before all have begun.
        worker = world.worker(ledger=ledger, concurrency=10, lease=30.0)
        async with running(worker) as token:
            await until(lambda: len({call.token for call in world.local.truth.calls()}) == 10)
            assert await claim_outcomes(make_ledger() if kind != "dynamodb" else ledger, jobs) == {
                ClaimOutcome.MISMATCH
            }
            began = time.monotonic()
            token.cancel()
            async with asyncio.timeout(5):
                while await world.count() != (10, 0):
                    await asyncio.sleep(0.05)
            assert time.monotonic() - began < 1
        assert len(worker.statistics().left) == 10
        assert await claim_outcomes(probe(kind, make_ledger, moto), jobs) == {ClaimOutcome.GRANTED}
        assert world.groups() == []


def probe(kind: Kind, make_ledger: MakeLedger, moto: str) -> Ledger:
    """Return a ledger of the same jobs that can be opened without a worker."""
    made = make_ledger()
    if kind == "dynamodb":
        return DynamoDBLedger(repr(made).split()[1].strip(","), region_name="us-east-1", endpoint_url=moto)
    return made


# Poison --------------------------------------------------------------------------------------------------------------


@each_ledger
async def test_poison_holds_up_nobody(
    moto: str, make_ledger: MakeLedger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten jobs that no ledger can hold, on their last receive, beside thirty good ones: those are all started."""
    short_delays(monkeypatch)
    async with queue_setup(moto, receives=2) as world:

        def key(message: Message) -> str:
            return str(json.loads(message.body)["key"])

        def to_request(message: Message) -> aioecs.StartTaskRequest:
            expected = json.loads(message.body)
            instances = world.local.instance_arns[:1] * expected.get("times", 1)
            return aioecs.StartTaskRequest(task_definition="demo", container_instances=instances, group="g")

        poison = [{"key": f"\ud800{n}"} for n in range(5)] + [{"key": f"large-{n}", "times": 4000} for n in range(5)]
        good = [{"key": f"job-{n}"} for n in range(30)]
        await world.send(*map(json.dumps, poison), *map(json.dumps, good))
        worker = world.worker(ledger=make_ledger(), concurrency=10, key=key, to_request=to_request)
        async with running(worker):
            await until(lambda: worker.statistics().deleted == 30, 25)
            await until(lambda: worker.statistics().in_flight == 0)
        assert len(world.groups()) == 30
        counts = worker.statistics()
        assert counts.dead_lettered >= 10
        assert not counts.ledger_down
        assert sum(await world.count()) + sum(await world.count(world.dead_letters)) == 10
    assert "invalid: InvalidRequest: key: a string of 1 to 1024 bytes of UTF-8" in caplog.text
    assert "invalid: InvalidRequest: container_instances: no more than a ledger holds of a job" in caplog.text


# Paused before a send ------------------------------------------------------------------------------------------------

PATIENT = aioecs.Timeouts(connect=15, attempt=15, consistency=0.2, settle=0.5, drain=1)
"""A loaded machine answers within these: an answer that is given up after a second would be a second fault."""
STEPS: dict[str, list[tuple[type, str]]] = {
    "claimed": [(JobStarter, "_start")],
    "asked of the batch": [(Batch, "start_task")],
    "packed": [(Engine, "_begin_or_join")],
    "its turn": [(Call, "_send")],
    "the port": [(NativeTransport, "attempt"), (BotocoreTransport, "attempt")],
    "connected": [(Connection, "exchange"), (MarkedBody, "write"), (MarkedBody, "write_with_length")],
    "about to look": [(SentMarker, "begin_body")],
}


class Pause:
    """A process that is stopped once, in a step of its own, until its lease has ended and another has its job."""

    def __init__(self, patch: pytest.MonkeyPatch, other: Callable[[], Any]) -> None:
        self._patch = patch
        self._other = other
        self._process = threading.get_ident()
        self.ahead = 0.0
        self.taken = False
        self.resumed = False
        clock, monotonic = time.time, time.monotonic
        patch.setattr(time, "time", lambda: clock() + self.ahead)
        patch.setattr(time, "monotonic", lambda: monotonic() + self.own_ahead)

    @property
    def own_ahead(self) -> float:
        """How long this process was stopped: its event loop's timers are due after that."""
        return self.ahead if self.resumed and threading.get_ident() == self._process else 0.0

    def before(self, owner: type, name: str) -> None:
        """Stop before this step."""
        step = getattr(owner, name)

        def paused(*args: Any, **members: Any) -> Any:
            self._stop(args)
            return step(*args, **members)

        self._patch.setattr(owner, name, paused)

    def after(self, owner: type, name: str) -> None:
        """Stop after this one."""
        step = getattr(owner, name)

        def paused(*args: Any, **members: Any) -> Any:
            done = step(*args, **members)
            self._stop(args)
            return done

        self._patch.setattr(owner, name, paused)

    def _stop(self, args: tuple[Any, ...]) -> None:
        if threading.get_ident() == self._process and not self.taken and of_a_start(args):
            self.taken = True
            self.ahead = 100.0
            other = threading.Thread(target=self._other)
            other.start()
            other.join()
            self.resumed = True


def of_a_start(args: tuple[Any, ...]) -> bool:
    """Return whether a step is one of a start, and not of a lookup before it."""
    markers = [each for each in args if isinstance(each, SentMarker)]
    markers += [each._sent_marker for each in args if isinstance(each, MarkedBody)]
    return all(each.may_send is not None for each in markers)


@asynccontextmanager
async def a_starter(ecs: ThreadedECS, ledger: Ledger, transport: Any) -> AsyncIterator[JobStarter]:
    """Open one with a client and a batch of its own."""
    async with aioecs.Client(
        **ecs.client_kwargs(), session=None, timeouts=PATIENT, pacing=None, transport=transport
    ) as client:
        if isinstance(ledger, DynamoDBLedger):
            ledger.open_with(client)
        async with ledger, client.batch(on_cancel="keep", delivery="at_least_once") as batch:

            def to_request(_: Message) -> aioecs.StartTaskRequest:
                return aioecs.StartTaskRequest(task_definition="demo", container_instances=ecs.instance_arns[:1])

            # Long enough for a slow machine to send within it; a pause of 100 s outlasts it.
            placement = options_of(aioecs.Spread(), (), None, 0.0)
            lease = make_lease(PATIENT.attempt, PATIENT.consistency, 0.1, 60.0)
            yield JobStarter(client, batch, ledger, to_request, lambda _: "job", lease, placement)


async def tried(starter: JobStarter) -> AttemptResult:
    """Try the job once."""
    return await starter.attempt(Job(Message(id="m", body="")), aioecs.CancelToken())


@each_ledger
@pytest.mark.parametrize("transport", ["auto", "botocore"])
@pytest.mark.parametrize("step", [*STEPS, "has looked"])
async def test_a_worker_that_is_paused_before_its_send(
    step: str, transport: str, kind: Kind, make_ledger: MakeLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends nothing once another has its job; between its look and its write alone it does, and stops that."""
    others: list[AttemptResult] = []

    def other() -> None:
        async def start() -> None:
            async with a_starter(ecs, make_ledger(), transport) as starter:
                others.append(await tried(starter))

        asyncio.run(start())
        if step == "has looked":
            loop.call_soon_threadsafe(until_both_started)

    def until_both_started() -> None:
        """Let the server read what is written, before the clocks close the connection."""
        for _ in range(10_000):
            if len(ecs.truth.tasks()) == 2:
                break
            threading.Event().wait(0.001)

    loop = asyncio.get_running_loop()
    with ThreadedECS() as ecs:
        async with a_starter(ecs, make_ledger(), transport) as starter:
            pause = Pause(monkeypatch, other)
            if step in STEPS:
                for owner, name in STEPS[step]:
                    pause.before(owner, name)
            else:
                pause.after(SentMarker, "begin_body")
            job = Job(Message(id="m", body=""))
            ours = await starter.attempt(job, aioecs.CancelToken())
            assert pause.taken
            assert [each.outcome for each in others] == [JobOutcome.STARTED]
            started = len(ecs.truth.tasks())
            if step == "has looked":
                # Its answer comes, or was given up: the clocks of its call went on while it was stopped.
                assert started == 2, "the window that the docs state"
                assert ours.outcome in (JobOutcome.LEASE_LOST, JobOutcome.UNKNOWN), ours
                assert job.may_have_surplus
            else:
                assert started == 1
                # Withdrawn by its lease's end, or not sent where its retries ended before; lost where it looked for its
                # token before it would send again, and found the other's task.
                assert ours.outcome in (JobOutcome.WITHDRAWN, JobOutcome.NOT_SENT, JobOutcome.LEASE_LOST), ours
            assert (await starter.attempt(job, aioecs.CancelToken())).outcome is JobOutcome.SETTLED
            assert len(ecs.truth.running()) == 1
