"""_job_starter: one try to start a job, on virtual time, with every way that its ledger may fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from fake_transport import (
    FakeReconciler,
    FakeTransport,
    HeldAttempt,
    fake_client,
    lost,
    make_request,
    started,
    tasks_for,
    throttled,
)
from virtual_time import VirtualTimeLoop, run_in_virtual_time

from aioecs import CancelToken, Failure, Spread, StartTaskRequest, StartTaskResponse
from aioecs._batch.placement.placement_context import options_of
from aioecs._logic.calls.token import derived
from aioecs._model.attempt import Answered, Attempt, Lost, Rejected
from aioecs._transport.transport import SentMarker
from aioecs.errors import AccessDeniedException, AnswerLost, ClientException
from aioecs.worker import Claimed, Entry, EntryError, LedgerError, MemoryLedger, Message
from aioecs.worker._jobs.decisions import JobOutcome, MessageAction
from aioecs.worker._jobs.job import AttemptResult, Job, LostLease, attempt_key
from aioecs.worker._jobs.job_starter import JobStarter
from aioecs.worker._jobs.timing import make_lease
from aioecs.worker._ledgers.claims import LOOKUP_LIMIT, fingerprint

MESSAGE = Message(id="m", body="a secret")
ARN = "arn:aws:ecs:us-east-1:123456789012:task/default/i0-0"
UNPLUGGED = LedgerError("unplugged")
TOO_LARGE = "no more than a ledger holds of a job, which is 409,600 bytes with the ARNs of its tasks"
NEVER = float("inf")
PLACEMENT = options_of(Spread(), (), None, 0.0)


class ScriptedLedger(MemoryLedger):
    """A ledger whose methods have scripted results, one after the other, and then work as usual.

    An error is raised, a bool answered, both instead of the work; a number is how many seconds it takes.
    """

    def __init__(self, **script: list[Exception | bool | float]) -> None:
        super().__init__()
        self.handlers = script
        self.requests: list[str] = []

    async def _scripted(self, method: str, work: Callable[[], Awaitable[Any]]) -> Any:
        self.requests.append(method)
        script = self.handlers.get(method)
        what = script.pop(0) if script else None
        if isinstance(what, Exception):
            raise what
        if isinstance(what, bool):
            return what
        await asyncio.sleep(what or 0)
        return await work()

    async def claim(self, intent: Entry, *, now: float, skew: float) -> Claimed:
        """Claim."""
        claim = super().claim
        claimed: Claimed = await self._scripted("claim", lambda: claim(intent, now=now, skew=skew))
        return claimed

    async def renew(self, key: str, holder: str, *, until: float) -> bool:
        """Renew."""
        renew = super().renew
        return bool(await self._scripted("renew", lambda: renew(key, holder, until=until)))

    async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Settle."""
        settle = super().settle
        return bool(await self._scripted("settle", lambda: settle(key, holder, arns)))

    async def release(self, key: str, holder: str) -> bool:
        """Release."""
        release = super().release
        return bool(await self._scripted("release", lambda: release(key, holder)))

    @property
    def entry(self) -> Entry | None:
        """What stands there of the job."""
        return self._jobs.entries.get("job")


@attrs.define
class Scene:
    """A job that may be tried, and all that the try meets."""

    ledger: ScriptedLedger
    transport: FakeTransport
    starter: JobStarter
    stop: CancelToken = attrs.Factory(CancelToken)
    job: Job = attrs.Factory(lambda: Job(MESSAGE))

    async def attempt(self) -> AttemptResult:
        """Try to start it."""
        return await self.starter.attempt(self.job, self.stop)

    def stands(self, ago: float = 0.0, **members: Any) -> Entry:
        """Write down that another has had the job since so long ago, for a minute."""
        begun = time.time() - ago
        given: dict[str, Any] = {
            "key": "job",
            "holder": "other",
            "lease": begun + 60,
            "begun": begun,
            "fingerprint": fingerprint("job", make_request()),
            "instances": make_request().container_instances,
        }
        entry = Entry(**{**given, **members})
        self.ledger._jobs.entries["job"] = entry
        return entry

    @property
    def left(self) -> float:
        """What is left of the lease that the job is known to be under, in seconds."""
        return self.job.lease - time.time()


@asynccontextmanager
async def make_scene(
    ledger: ScriptedLedger | None = None,
    *,
    to_request: Any = lambda _: make_request(),
    key: Any = lambda _: "job",
    found: tuple[Any, ...] = (),
    **script: Any,
) -> AsyncIterator[Scene]:
    """Open a scene: ECS has scripted answers, and shows what was `found`; the wall's clock goes with the loop's."""
    loop, transport = asyncio.get_running_loop(), FakeTransport(**script)
    ledger = ledger if ledger is not None else ScriptedLedger()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: 1_800_000_000.0 + loop.time())
        async with fake_client(transport) as client, client.batch(on_cancel="keep") as batch:
            client._preparer.reconcilers[None] = FakeReconciler(found)  # type: ignore[assignment]
            client._preparer.core.jitter = lambda: 1.0
            clocks = client.timeouts
            lease = make_lease(clocks.attempt, clocks.consistency, 5.0, None)
            yield Scene(ledger, transport, JobStarter(client, batch, ledger, to_request, key, lease, PLACEMENT))


async def refused(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    """Refuse for good."""
    return Rejected(ClientException("TaskDefinition not found."))


async def no_capacity(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    """Refuse for now."""
    sent_marker.body_started = True
    failures = [Failure(arn=instance, reason="RESOURCE:CPU") for instance in request.container_instances]
    return Answered(StartTaskResponse(failures=failures), "request-1")


def later(seconds: float) -> Any:
    """Start, after so long."""

    async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        sent_marker.body_started = True
        await asyncio.sleep(seconds)
        return await started(request, sent_marker)

    return say


# Before anything is sent ---------------------------------------------------------------------------------------------


async def awaited(_: Message) -> StartTaskRequest:
    """Make the request on the loop."""
    await asyncio.sleep(0)
    return make_request()


@pytest.mark.parametrize("to_request", [lambda _: make_request(), awaited], ids=["plain", "async"])
def test_it_is_started_and_written_down(to_request: Any) -> None:
    """The intent stands before the request goes out, and its task when the try has ended; the second time is none."""

    async def main() -> None:
        intents: list[Entry | None] = []

        async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            intents.append(scene.ledger.entry)
            return await started(request, sent_marker)

        async with make_scene(to_request=to_request, start_task=say) as scene:
            assert await scene.attempt() == AttemptResult(JobOutcome.STARTED, MessageAction.DELETE)
            [intent] = intents
            assert intent is not None
            assert intent.instances == make_request().container_instances
            assert intent.lease - intent.begun == 100
            assert scene.job.lease == intent.lease
            assert scene.ledger.entry == attrs.evolve(intent, arns=(ARN,))
            assert await scene.attempt() == AttemptResult(JobOutcome.SETTLED, MessageAction.DELETE)
            assert scene.transport.names() == ["StartTask"]
            assert scene.ledger.requests == ["claim", "settle", "claim"]

    run_in_virtual_time(main())


def fails(_: Message) -> StartTaskRequest:
    """Make no request."""
    raise ValueError(MESSAGE.body)


@pytest.mark.parametrize(
    ("functions", "why"),
    [
        ({"to_request": fails}, "ValueError"),
        (
            {"to_request": lambda _: "demo"},
            "InvalidRequest: to_request: returns a StartTaskRequest or a RunTaskRequest",
        ),
        ({"key": fails}, "ValueError"),
        ({"key": lambda _: ""}, "InvalidRequest: key: a string of 1 to 1024 bytes of UTF-8"),
        ({"key": lambda message: message.body + "\ud800"}, "InvalidRequest: key: a string of 1 to 1024 bytes of UTF-8"),
        (
            {"to_request": lambda _: make_request(1).replace(container_instances=["i" * 500_000])},
            f"InvalidRequest: container_instances: {TOO_LARGE}",
        ),
    ],
)
def test_what_no_request_can_be_made_of(functions: Any, why: str) -> None:
    """It is the message's fault, whatever the user's functions do; nothing is written, and its body is not shown."""

    async def main() -> None:
        async with make_scene(**functions) as scene:
            assert await scene.attempt() == AttemptResult(JobOutcome.INVALID, MessageAction.DEAD_LETTER, why)
            assert (scene.ledger.requests, scene.transport.requests, scene.job.lease) == ([], [], 0)

    run_in_virtual_time(main())


def test_stopped_before_the_start() -> None:
    """Nothing is begun."""

    async def main() -> None:
        async with make_scene() as scene:
            scene.stop.cancel()
            assert await scene.attempt() == AttemptResult(JobOutcome.WITHDRAWN, MessageAction.RETURN_NOW)
            assert (scene.ledger.requests, scene.transport.requests) == ([], [])

    run_in_virtual_time(main())


def test_a_claim_that_fails_may_have_been_written() -> None:
    """Nothing is sent without the ledger; the job counts as held until its lease would end."""

    async def main() -> None:
        async with make_scene(ScriptedLedger(claim=[UNPLUGGED])) as scene:
            assert await scene.attempt() == AttemptResult(
                JobOutcome.LEDGER_UNREACHABLE, MessageAction.RETURN_LATER, "unplugged"
            )
            assert (scene.transport.requests, scene.left) == ([], 100)

    run_in_virtual_time(main())


def test_a_ledger_that_is_well_and_can_t_hold_the_job() -> None:
    """It is the job's fault: nothing is sent or held, and its message is left to the redrive policy with the reason."""

    async def main() -> None:
        async with make_scene(
            ScriptedLedger(claim=[EntryError("the ledger has something else under the key 'job'")])
        ) as scene:
            tried = await scene.attempt()
            assert (tried.outcome, tried.action) == (JobOutcome.INVALID, MessageAction.DEAD_LETTER)
            assert "something else under the key" in tried.why
            assert (scene.transport.requests, scene.job.lease) == ([], 0)

    run_in_virtual_time(main())


@pytest.mark.parametrize("permanent", [False, True])
def test_what_no_later_try_can_mend_is_handed_up(permanent: bool) -> None:
    """Only where the error is permanent."""

    async def main() -> None:
        error = LedgerError("denied")
        error.permanent = permanent
        async with make_scene(ScriptedLedger(claim=[error])) as scene:
            tried = await scene.attempt()
            assert tried.fatal is (error if permanent else None)

    run_in_virtual_time(main())


def test_a_time_of_any_precision_is_not_taken_for_another_s() -> None:
    """If the worker is stopped during a backoff, the job is free at once, also with a ledger of whole milliseconds."""

    class Coarse(ScriptedLedger):
        """A ledger that keeps milliseconds."""

        async def claim(self, intent: Entry, *, now: float, skew: float) -> Claimed:
            coarse = attrs.evolve(intent, begun=float(f"{intent.begun:.3f}"), lease=float(f"{intent.lease:.3f}"))
            return await super().claim(coarse, now=now, skew=skew)

    async def main() -> None:
        async with make_scene(Coarse(), start_task=throttled) as scene:
            await asyncio.sleep(0.6114728)
            asyncio.get_running_loop().call_later(1.5, scene.stop.cancel)
            assert (await scene.attempt()).outcome is JobOutcome.WITHDRAWN
            assert scene.ledger.entry is None

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("ago", "existing", "result"),
    [
        (0.0, {}, AttemptResult(JobOutcome.HELD, MessageAction.RETURN_AFTER_LEASE)),
        (0.0, {"arns": ("arn",)}, AttemptResult(JobOutcome.SETTLED, MessageAction.DELETE)),
        (0.0, {"fingerprint": "other"}, AttemptResult(JobOutcome.MISMATCH, MessageAction.DEAD_LETTER)),
        (LOOKUP_LIMIT + 1, {}, AttemptResult(JobOutcome.TOO_OLD, MessageAction.DEAD_LETTER)),
    ],
)
def test_a_job_that_is_not_free(ago: float, existing: dict[str, Any], result: AttemptResult) -> None:
    """Nothing is sent, what stands there stays, and its lease is known."""

    async def main() -> None:
        async with make_scene() as scene:
            entry = scene.stands(ago, **existing)
            assert await scene.attempt() == result
            assert scene.ledger.entry == entry
            assert scene.job.lease == entry.lease
            assert scene.transport.requests == []

    run_in_virtual_time(main())


@pytest.mark.parametrize("existing", [{}, {"arns": ("arn",)}, {"lease": 0.0}, {"fingerprint": "other"}])
def test_an_attempt_that_was_begun(existing: dict[str, Any]) -> None:
    """Whoever had it: it can be claimed as before, and a job that nobody has begun stays without an entry."""

    async def main() -> None:
        async with make_scene() as scene:
            assert not await scene.starter.was_begun(scene.job, 0)
            assert scene.ledger.entry is None
            before = scene.stands(100.0, **existing)
            assert await scene.starter.was_begun(scene.job, 0)
            assert scene.ledger.entry is not None
            assert (scene.ledger.entry.begun, scene.ledger.entry.arns) == (before.begun, before.arns)
            assert scene.ledger.entry.lease <= before.lease
            assert scene.transport.requests == []

    run_in_virtual_time(main())


# What comes of a start -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (no_capacity, AttemptResult(JobOutcome.NO_CAPACITY, MessageAction.RETURN_LATER, "RESOURCE:CPU on i0")),
        (throttled, AttemptResult(JobOutcome.NOT_SENT, MessageAction.RETURN_LATER, "CallTimeout")),
        (refused, AttemptResult(JobOutcome.REFUSED, MessageAction.DEAD_LETTER, "ClientException")),
    ],
)
@pytest.mark.parametrize("down", [False, True])
def test_an_intent_goes_back_where_nothing_was_started(answer: Any, result: AttemptResult, down: bool) -> None:
    """The job is free for anybody; if the ledger is down, when its lease ends. What is refused for good stays so."""

    async def main() -> None:
        async with make_scene(ScriptedLedger(release=[UNPLUGGED] if down else []), start_task=answer) as scene:
            expected = result
            if down:
                action = (
                    MessageAction.DEAD_LETTER
                    if result.action is MessageAction.DEAD_LETTER
                    else MessageAction.RETURN_AFTER_LEASE
                )
                expected = attrs.evolve(result, action=action, why="unplugged")
            assert await scene.attempt() == expected
            assert (scene.ledger.entry is None, scene.job.lease == 0) == (not down, not down)

    run_in_virtual_time(main())


def test_an_ambiguous_start_keeps_its_intent() -> None:
    """Whoever comes when the lease ends looks the token up; here it is found, and nothing is sent again."""

    async def main() -> None:
        async with make_scene(start_task=lost) as scene:
            assert await scene.attempt() == AttemptResult(
                JobOutcome.UNKNOWN, MessageAction.RETURN_AFTER_LEASE, "StartUnknown"
            )
            assert scene.ledger.entry is not None
            assert scene.ledger.entry.arns is None
            assert scene.left > 0

    run_in_virtual_time(main())


def test_a_dead_one_s_intent_is_taken_over() -> None:
    """With its instances, for it may have begun there; what is refused for want of time is no proof, and is kept."""

    async def main() -> None:
        async with make_scene() as scene:
            other = make_request(2).container_instances[1:]
            scene.stands(66, instances=other)
            scene.transport.handlers["start_task"] = throttled
            assert await scene.attempt() == AttemptResult(
                JobOutcome.NOT_SENT, MessageAction.RETURN_AFTER_LEASE, "CallTimeout"
            )
            assert {request.container_instances for _, request in scene.transport.requests} == {other}
            await asyncio.sleep(scene.left + 5)
            scene.transport.handlers["start_task"] = no_capacity
            result = AttemptResult(JobOutcome.NO_CAPACITY, MessageAction.RETURN_LATER, "RESOURCE:CPU on i1")
            assert await scene.attempt() == result, "ECS itself refused: that is proof"
            assert scene.ledger.entry is None

    run_in_virtual_time(main())


def test_stopped_during_the_start() -> None:
    """What was sent is learnt and written down; what waits for a retry is not sent, and its job is free."""

    async def main() -> None:
        for answer, outcome in ((later(3), JobOutcome.STARTED), (throttled, JobOutcome.WITHDRAWN)):
            async with make_scene(start_task=answer) as scene:
                asyncio.get_running_loop().call_later(1.5, scene.stop.cancel)
                assert (await scene.attempt()).outcome is outcome
                assert (scene.ledger.entry is None) is (outcome is JobOutcome.WITHDRAWN)

    run_in_virtual_time(main())


def test_cut_off_it_says_what_it_knew(caplog: pytest.LogCaptureFixture) -> None:
    """The cancel goes on as itself, and the intent stays; a task that is not in the ledger is in the log."""

    async def main() -> None:
        held = HeldAttempt()
        async with make_scene(start_task=held) as scene:
            attempt = asyncio.create_task(scene.attempt())
            await held.begun.wait()
            attempt.cancel()
            await asyncio.sleep(1)
            held.gate.set()
            await asyncio.wait([attempt])
            assert attempt.cancelled()
            assert scene.ledger.entry is not None
            assert scene.left > 0
            held.gate.clear()
            held.begun.clear()
            await asyncio.sleep(scene.left + 5)
            again = asyncio.create_task(scene.attempt())
            await held.begun.wait()
            again.cancel()
            await asyncio.sleep(600)  # longer than the call waits: nothing is known
            assert again.cancelled()
            held.gate.set()

    run_in_virtual_time(main())
    warnings = [record.getMessage() for record in caplog.records if "the ledger may not" in record.getMessage()]
    assert warnings == [f"the ledger may not have the tasks of a job that was started: ['{ARN}']"]


# The lease -----------------------------------------------------------------------------------------------------------


def test_a_renewed_lease_outlives_a_long_start() -> None:
    """It is renewed in thirds of what it may spare, so a start that takes longer than its lease is settled."""

    async def main() -> None:
        async with make_scene(start_task=throttled) as scene:
            loop = asyncio.get_running_loop()
            loop.call_later(80, lambda: scene.transport.handlers.update(start_task=later(14)))
            assert (await scene.attempt()).outcome is JobOutcome.STARTED
            assert scene.ledger.requests == ["claim", *["renew"] * 5, "settle"]
            assert 80 < scene.left < 100

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("renewals", "ends", "asked"),
    [
        ([UNPLUGGED, UNPLUGGED], None, 7),
        ([False], 50 / 3, 1),
        ([UNPLUGGED] * 99, 50, 35),
        ([NEVER] * 99, 50, 1),
        ([10.0, 20.0], None, 3),
    ],
    ids=["down for a while", "the job is another's", "down", "hangs", "slow"],
)
def test_nothing_is_sent_under_a_lease_that_was_not_renewed(
    renewals: list[Any], ends: float | None, asked: int
) -> None:
    """A ledger that is down is asked each second, as long as the lease allows for a request; then the start ends."""

    async def main() -> None:
        async with make_scene(ScriptedLedger(renew=renewals), start_task=throttled) as scene:
            loop = asyncio.get_running_loop()
            began = loop.time()
            tried = await scene.attempt()
            took = loop.time() - began
            assert tried.outcome is (JobOutcome.NOT_SENT if ends is None else JobOutcome.WITHDRAWN)
            assert took == pytest.approx(ends) if ends is not None else 80 < took <= 90
            assert scene.ledger.requests.count("renew") == asked
            assert scene.ledger.entry is None, "nothing was started, so the intent is taken back"

    run_in_virtual_time(main())


def test_the_lease_is_checked_in_the_step_that_sends() -> None:
    """A process that was stopped until its lease had ended sends nothing, whichever part of the request it is."""

    async def main() -> None:
        asked: list[bool] = []

        async def say(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            assert sent_marker.may_send is not None
            asked.append(sent_marker.may_send())
            with pytest.MonkeyPatch.context() as patch:
                loop = asyncio.get_running_loop()
                for stopped in (49.9, 50.1):
                    patch.setattr(time, "time", lambda ahead=stopped: 1_800_000_000.0 + loop.time() + ahead)
                    asked.append(sent_marker.may_send())
            assert scene.starter.may_send("job")
            assert scene.starter.may_send("job\x0010")
            return await started(request, sent_marker)

        async with make_scene(start_task=say) as scene:
            assert (await scene.attempt()).outcome is JobOutcome.STARTED
            assert not scene.starter.may_send("job"), "it is held no more"
        assert asked == [True, True, False]

    run_in_virtual_time(main())


# Written down --------------------------------------------------------------------------------------------------------


def test_what_was_started_is_written_down_as_long_as_the_lease_lasts() -> None:
    """A ledger that is down is asked each second; if that fails, the next worker finds the task by its token."""

    async def main() -> None:
        for failures, outcome in ((3, JobOutcome.STARTED), (999, JobOutcome.UNKNOWN)):
            async with make_scene(ScriptedLedger(settle=[UNPLUGGED] * failures, renew=[UNPLUGGED] * 999)) as scene:
                loop = asyncio.get_running_loop()
                began = loop.time()
                tried = await scene.attempt()
                assert tried.outcome is outcome
                assert tried.why == ("" if failures == 3 else "unplugged")
                assert loop.time() - began == pytest.approx(3 if failures == 3 else 100, abs=0.1)

    run_in_virtual_time(main())


def test_stopped_while_the_outcome_is_written_down() -> None:
    """It waits no longer for a ledger that is down; its intent stays."""

    async def main() -> None:
        async with make_scene(ScriptedLedger(settle=[UNPLUGGED] * 999)) as scene:
            loop = asyncio.get_running_loop()
            began = loop.time()
            loop.call_later(0.5, scene.stop.cancel)
            assert await scene.attempt() == AttemptResult(
                JobOutcome.UNKNOWN, MessageAction.RETURN_AFTER_LEASE, "unplugged"
            )
            assert loop.time() - began == pytest.approx(0.5, abs=0.01)
            assert scene.ledger.entry is not None

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("script", "cancelled"), [([UNPLUGGED] * 999, False), ([UNPLUGGED] * 999, True), ([NEVER], True)]
)
def test_tasks_that_the_ledger_does_not_have_are_logged(
    script: list[Any], cancelled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the worker gives the write up, or is cancelled in it or between two: an ARN that came is not dropped."""

    async def main() -> None:
        async with make_scene(ScriptedLedger(settle=script)) as scene:
            attempt = asyncio.create_task(scene.attempt())
            await asyncio.sleep(5.5)
            if cancelled:
                attempt.cancel()
            else:
                scene.stop.cancel()
            await asyncio.wait([attempt])
            assert attempt.cancelled() is cancelled

    run_in_virtual_time(main())
    assert f"the ledger may not have the tasks of a job that was started: ['{ARN}']" in caplog.text


@pytest.mark.parametrize("arn", [ARN, "arn:aws:ecs:us-east-1:123456789012:task/i0-0", "arn:of-another"])
@pytest.mark.parametrize("denied", [False, True])
def test_a_double_of_a_lost_lease_is_stopped(arn: str, denied: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The job became another's in mid-start: what the ledger has in the end stays, and ours goes, unless it is that."""

    async def main() -> list[Any]:
        async with make_scene(ScriptedLedger(settle=[False])) as scene:
            assert await scene.attempt() == AttemptResult(JobOutcome.LEASE_LOST, MessageAction.RETURN_LATER)
            assert scene.job.lost["job"].arns == {ARN}
            assert "StopTask" not in scene.transport.names(), "while it is not known which task is the second one"
            if arn.endswith("task/i0-0"):
                scene.job.lost["job"] = LostLease(arns={arn})  # of the old format, which names no cluster
            if denied:
                scene.transport.handlers["stop_task"] = says_no
            scene.stands(arns=("arn:of-another",) if arn != ARN else (ARN,))
            assert (await scene.attempt()).outcome is JobOutcome.SETTLED
            assert not scene.job.may_have_surplus
            return [request for name, request in scene.transport.requests if name == "StopTask"]

    async def says_no(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        return Rejected(AccessDeniedException("no"))

    stopped = run_in_virtual_time(main())
    if arn == ARN:
        assert stopped == []
        return
    [request] = stopped
    assert request.reason == "aioecs: started under a lease that was lost"
    assert request.cluster == (None if "task/i0" in arn else "default")
    expected = (
        "could not be stopped: AccessDeniedException" if denied else "was a second one of its job, and is stopped"
    )
    assert expected in caplog.text


@pytest.mark.parametrize(
    ("pause", "later", "denied"), [(60, 0, False), (200, 0, False), (200, 100, False), (200, 0, True)]
)
def test_what_was_written_too_late_is_found_by_its_token(
    pause: float, later: float, denied: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that was paused as it wrote its request has no answer, and its task may show in ECS's lists late.

    That is so from the cutoff on, before the lease is over: the next worker may look before it shows. What that worker
    starts may show late too, however `later` it settles the job.
    """
    ours, others, ended = [tasks_for(make_request())[0].replace(task_arn=arn) for arn in ("ours", "others", "ended")]

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)

        async def paused(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            sent_marker.begin_body()
            loop.advance(pause)
            return Lost(AnswerLost("reset"))

        async with make_scene(start_task=paused) as scene:
            shown = FakeReconciler()
            scene.starter._client._preparer.reconcilers[None] = shown  # type: ignore[assignment]
            assert (await scene.attempt()).outcome is JobOutcome.UNKNOWN
            assert scene.job.may_have_surplus
            await asyncio.sleep(later)
            scene.stands(arns=("others",))
            shown.error = AccessDeniedException("no") if denied else None
            listed = [] if denied else [others, ours, ended.replace(desired_status="STOPPED")]
            loop.call_later(20, setattr, shown, "found", listed)
            assert (await scene.attempt()).outcome is JobOutcome.SETTLED
            assert not scene.job.may_have_surplus
            return [request.task for name, request in scene.transport.requests if name == "StopTask"]

    assert run_in_virtual_time(main()) == ([] if denied else ["ours"])
    assert ("it is not known whether a second task of a job runs with startedBy=aioecs-" in caplog.text) is denied


def test_what_was_refused_in_part_under_a_lost_lease_may_be_surplus() -> None:
    """The part that runs: another worker can have started all of it. Its message is a dead letter, and it is logged."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)

        async def paused(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
            sent_marker.begin_body()
            loop.advance(100)
            failures = [Failure(arn=request.container_instances[1], reason="MISSING")]
            return Answered(StartTaskResponse(tasks=tasks_for(request)[:1], failures=failures), "request-1")

        async with make_scene(start_task=paused, to_request=lambda _: make_request(2)) as scene:
            assert (await scene.attempt()).outcome is JobOutcome.PARTLY_REFUSED
            assert scene.job.surplus == [f"startedBy={derived('job')}"]

    run_in_virtual_time(main())


def test_a_surplus_task_that_may_show_later_is_not_forgotten() -> None:
    """A worker that is to end looks at once, and leaves what to look for, so that it is logged."""

    async def written(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        sent_marker.begin_body()
        return await started(request, sent_marker)

    async def main() -> None:
        async with make_scene(ScriptedLedger(settle=[False]), start_task=written) as scene:
            assert (await scene.attempt()).outcome is JobOutcome.LEASE_LOST
            scene.stands(arns=("others",))
            asyncio.get_running_loop().call_later(1, scene.stop.cancel)
            assert (await scene.attempt()).outcome is JobOutcome.SETTLED
            assert scene.job.surplus == [f"startedBy={derived('job')}"]

    run_in_virtual_time(main())


@pytest.mark.parametrize(("own", "stopped"), [(ARN, []), ("others", [ARN])], ids=["adopted", "another"])
def test_a_surplus_task_is_judged_by_its_own_attempt(own: str, stopped: list[str]) -> None:
    """The tasks of the attempt before, in the ledger under another key, say nothing about it."""
    tasks = [tasks_for(make_request())[0].replace(task_arn=arn) for arn in {ARN, own}]

    async def main() -> None:
        async with make_scene(ScriptedLedger(settle=[False])) as scene:

            def settled(key: str, arn: str) -> None:
                entry = attrs.evolve(scene.stands(), key=key, fingerprint=fingerprint(key, make_request()))
                scene.ledger._jobs.entries[key] = attrs.evolve(entry, arns=(arn,))

            def stops() -> list[str]:
                return [request.task for name, request in scene.transport.requests if name == "StopTask"]

            lost_lease = await scene.starter.attempt(scene.job, scene.stop, 1)
            assert lost_lease.outcome is JobOutcome.LEASE_LOST
            scene.starter._client._preparer.reconcilers[None] = FakeReconciler(tuple(tasks))  # type: ignore[assignment]
            settled("job", "first")
            assert (await scene.starter.attempt(scene.job, scene.stop, 0)).outcome is JobOutcome.SETTLED
            assert (stops(), scene.job.may_have_surplus) == ([], True)
            settled(attempt_key("job", 1), own)
            assert (await scene.starter.attempt(scene.job, scene.stop, 1)).outcome is JobOutcome.SETTLED
            assert (stops(), scene.job.may_have_surplus) == (stopped, False)

    run_in_virtual_time(main())
