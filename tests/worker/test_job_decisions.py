"""What becomes of a job and its message, without a queue, a ledger or a loop."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

import aioecs
from aioecs import Failure, Outcome, StartResult, StartTaskRequest, StartTaskResponse, Task
from aioecs.errors import AccessDeniedException, InvalidRequest, StartCancelled, StartIncomplete, StartUnknown
from aioecs.worker._job_decisions import (
    LONGEST_DELAY,
    TABLE,
    Act,
    Concluded,
    Fate,
    Happened,
    Intent,
    act,
    delay,
    growing,
    idle_rest,
    is_last,
    lease_of,
    of_answer,
    of_claim,
    of_error,
)
from aioecs.worker._ledgers.claims import REMEMBERED, Book, Entry, Verdict

REQUEST = StartTaskRequest(task_definition="demo", container_instances=["i"])


def a_start(outcome: Outcome, reason: str = "", error: aioecs.ECSError | None = None) -> StartResult:
    """Make a start that came to this."""
    task = Task(task_arn=f"arn-{outcome}") if outcome in (Outcome.STARTED, Outcome.STOPPED) else None
    failure = Failure(arn="i", reason=reason) if reason else None
    return StartResult(
        request=REQUEST, container_instance="i", outcome=outcome, task=task, failure=failure, error=error
    )


def cancelled(*outcomes: Outcome) -> StartCancelled:
    return StartCancelled("cancelled", starts=[a_start(outcome) for outcome in outcomes])


def test_everything_that_can_happen_has_a_line() -> None:
    """The table is complete, and only a job that is settled loses its message."""
    assert set(TABLE) == set(Happened)
    assert {what for what, done in TABLE.items() if done.fate is Fate.DELETE} == {
        *(Happened.STARTED, Happened.SETTLED, Happened.SUCCEEDED)
    }
    assert {of_claim(verdict) for verdict in Verdict} == {
        None,
        Happened.HELD,
        Happened.SETTLED,
        Happened.MISMATCH,
        Happened.FORGOTTEN,
    }


@pytest.mark.parametrize(
    ("reasons", "tasks", "happened"),
    [
        ([], 2, Happened.STARTED),
        (["RESOURCE:MEMORY"], 0, Happened.NO_ROOM),
        (["AGENT", "RESOURCE:CPU"], 0, Happened.NO_ROOM),
        (["MISSING"], 0, Happened.REFUSED),
        (["INACTIVE"], 0, Happened.REFUSED),
        (["ATTRIBUTE"], 0, Happened.REFUSED),
        (["LOCATION"], 0, Happened.REFUSED),
        (["A NEW ONE"], 0, Happened.REFUSED),
        (["RESOURCE:CPU", "MISSING"], 0, Happened.REFUSED),
        (["RESOURCE:CPU"], 1, Happened.PARTLY),
        (["MISSING"], 1, Happened.PARTLY_REFUSED),
    ],
)
def test_an_answer(reasons: list[str], tasks: int, happened: Happened) -> None:
    """A refusal for now is told from one for good, and what started from both."""
    answer = StartTaskResponse(
        tasks=[Task(task_arn=f"arn{n}") for n in range(tasks)],
        failures=[Failure(arn="i", reason=reason) for reason in reasons],
    )
    found = of_answer(answer)
    assert found.happened is happened
    assert len(found.arns) == tasks
    assert found.proven is (not tasks)


def an_error(code: str) -> aioecs.ECSError:
    error = aioecs.errors.service_error(code, "said", status=400)
    error.starts = (a_start(Outcome.REFUSED, error=error),)
    return error


@pytest.mark.parametrize(
    ("error", "happened"),
    [
        (InvalidRequest("a", "b"), Happened.UNREADABLE),
        (an_error("ClientException"), Happened.REFUSED),
        (an_error("ClusterNotFoundException"), Happened.REFUSED),
        (an_error("AccessDeniedException"), Happened.FORBIDDEN),
        (an_error("ExpiredTokenException"), Happened.FORBIDDEN),
        (aioecs.ConfigurationError("no credentials"), Happened.FORBIDDEN),
        (an_error("ThrottlingException"), Happened.NOT_SENT),
        (aioecs.ConnectionFailed("no"), Happened.NOT_SENT),
        (aioecs.CallTimeout("late", starts=[a_start(Outcome.NOT_SENT)]), Happened.NOT_SENT),
        (aioecs.IdempotencyMismatch("other", starts=[a_start(Outcome.NOT_SENT)]), Happened.MISMATCH),
        (StartUnknown("?", starts=[a_start(Outcome.UNKNOWN)]), Happened.UNKNOWN),
        (aioecs.AnswerLost("no starts told"), Happened.UNKNOWN),
        (StartIncomplete("!", starts=[a_start(Outcome.STARTED), a_start(Outcome.REFUSED)]), Happened.PARTLY),
        (cancelled(Outcome.NOT_SENT), Happened.WITHDRAWN),
        (cancelled(Outcome.STARTED), Happened.STARTED),
        (cancelled(Outcome.STARTED, Outcome.NOT_SENT), Happened.PARTLY),
        (cancelled(Outcome.NOT_SENT, Outcome.UNKNOWN), Happened.UNKNOWN),
        (StartCancelled("!", starts=[a_start(Outcome.REFUSED, "RESOURCE:CPU")]), Happened.NO_ROOM),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_an_error(error: aioecs.ECSError, happened: Happened) -> None:
    """By what it says of the starts first, then by its kind."""
    assert of_error(error).happened is happened


@pytest.mark.parametrize("outcomes", list(itertools.product(Outcome, repeat=2)))
def test_an_intent_goes_back_only_where_nothing_started(outcomes: tuple[Outcome, ...]) -> None:
    """Of every pair of outcomes, under every error that tells of starts."""
    for kind in (StartCancelled, StartIncomplete, StartUnknown, aioecs.CallTimeout):
        found = of_error(kind("!", starts=[a_start(outcome) for outcome in outcomes]))
        done = act(found.happened, inherited=False, proven=found.proven)
        may_run = bool({Outcome.STARTED, Outcome.STOPPED, Outcome.UNKNOWN} & set(outcomes))
        assert (done.intent is Intent.RELEASE) is not may_run
        assert (done.fate is Fate.DELETE) is (set(outcomes) == {Outcome.STARTED})


@pytest.mark.parametrize("happened", [what for what, done in TABLE.items() if done.intent is Intent.RELEASE])
def test_what_another_left_behind_is_kept_unless_ecs_itself_refused(happened: Happened) -> None:
    """The other's request may have been acted on, and only a start of ours proves that it wasn't."""
    assert act(happened, inherited=True, proven=True) == TABLE[happened]
    kept = act(happened, inherited=True, proven=False)
    assert kept == Act(Intent.KEEP, Fate.REDRIVE if TABLE[happened].fate is Fate.REDRIVE else Fate.LEASE)


def test_a_delay_grows() -> None:
    """From a second to fifteen minutes, spread by the jitter; for a lease it is the rest of it."""
    assert [growing(tries, 1.0) for tries in (1, 2, 3, 11, 10**9)] == [1, 2, 4, LONGEST_DELAY, LONGEST_DELAY]
    assert growing(3, 0.0) == 2
    given: dict[str, Any] = {"tries": 2, "jitter": 0.0, "now": 100.0, "lease": 130.0, "skew": 5.0}
    assert delay(Fate.LEASE, **given) == 35
    assert delay(Fate.LEASE, **{**given, "lease": 0.0}) == 1
    assert delay(Fate.AT_ONCE, **given) == 0
    assert delay(Fate.GROWING, **given) == delay(Fate.REDRIVE, **given) == 1


def test_a_lease_outlives_its_attempt() -> None:
    """By default twice the guard; never less than it."""
    lease = lease_of(15, 30, 5, None)
    assert (lease.guard, lease.length, lease.rest, lease.cutoff(100)) == (50, 100, 50 / 3, 50)
    assert lease_of(15, 30, 5, 51).length == 51
    with pytest.raises(InvalidRequest, match="lease: longer than"):
        lease_of(15, 30, 5, 50)


def test_the_last_receive() -> None:
    """It is the one after which the redrive policy takes the message; without a policy there is none."""
    assert [is_last(receives, 3) for receives in (1, 2, 3, 4)] == [False, False, True, True]
    assert not is_last(10**6, None)


# A fleet of workers, in a random world ------------------------------------------------------------------------------


class CapacityModel:
    """One job, workers that crash where they like, and an ECS that shows what started by its token."""

    def __init__(self, seed: int) -> None:
        self.jitter = random.Random(seed)
        self.book = Book()
        self.now = 0.0
        self.tasks = 0
        self.deleted = False
        self.lease = lease_of(2, 1, 0.5, None)

    def receive(self, number: int) -> None:
        """Be a worker that receives the message: every decision is the product's, every event the jitter's."""
        wish = Entry(
            key="job", holder=str(number), lease=self.now + self.lease.length, begun=self.now, fingerprint="f",
            instances=("i",),
        )  # fmt: skip
        claimed = self.book.claim(wish, self.now, self.lease.skew)
        happened = of_claim(claimed.verdict)
        if happened is not None:
            self.end(happened, claimed.entry, Concluded(happened))
            return
        if self.jitter.random() < 0.3:
            return  # killed before the send
        inherited = claimed.entry.begun != self.now
        self.now += self.jitter.uniform(0, 1.0)
        found, sent = self.start()
        if self.jitter.random() < 0.3:
            return  # killed after it
        concluded = of_answer(found) if isinstance(found, StartTaskResponse) else of_error(found)
        assert sent or concluded.happened is not Happened.STARTED or self.tasks
        done = act(concluded.happened, inherited=inherited, proven=concluded.proven)
        if done.intent is Intent.SETTLE:
            self.book.settle("job", wish.holder, concluded.arns)
        elif done.intent is Intent.RELEASE:
            assert not self.tasks, "an intent went back whose task runs"
            self.book.release("job", wish.holder)
        self.deleted |= done.fate is Fate.DELETE
        assert not self.deleted or self.tasks

    def start(self) -> tuple[StartTaskResponse | aioecs.ECSError, bool]:
        """Look the token up, and send if it isn't there."""
        if self.jitter.random() < 0.1:  # the look fails
            return aioecs.CallTimeout("late", starts=[a_start(Outcome.NOT_SENT)]), False
        if self.tasks:
            return StartTaskResponse(tasks=[Task(task_arn="arn")]), False
        roll = self.jitter.random()
        if roll < 0.2:
            return an_error("ThrottlingException"), False
        if roll < 0.3:
            return StartTaskResponse(failures=[Failure(arn="i", reason="RESOURCE:CPU")]), True
        if roll < 0.4:
            self.tasks += self.jitter.random() < 0.5
            return StartUnknown("?", starts=[a_start(Outcome.UNKNOWN)]), True
        self.tasks += 1
        return StartTaskResponse(tasks=[Task(task_arn="arn")]), True

    def end(self, happened: Happened, entry: Entry, _: Concluded) -> None:
        done = act(happened, inherited=False, proven=False)
        assert done.intent is Intent.KEEP
        self.deleted |= done.fate is Fate.DELETE
        assert not self.deleted or self.tasks
        if done.fate is Fate.LEASE:
            self.now += delay(
                done.fate, tries=1, jitter=self.jitter.random(), now=self.now, lease=entry.lease, skew=self.lease.skew
            )


@pytest.mark.parametrize("tenth", range(10))
def test_a_job_is_started_once_whoever_crashes(tenth: int) -> None:
    """Of 5,000 random lives of a job each ends, within ECS's memory, with one task and its message deleted."""
    for seed in range(tenth * 500, (tenth + 1) * 500):
        capacity_model = CapacityModel(seed)
        for number in range(200):
            capacity_model.receive(number)
            if capacity_model.deleted:
                break
            capacity_model.now += capacity_model.jitter.uniform(0, 2)
        assert capacity_model.tasks <= 1
        assert (capacity_model.deleted and capacity_model.tasks == 1) or capacity_model.now > REMEMBERED


@pytest.mark.parametrize(
    ("empties", "took", "rest"),
    [(1, 0.0, 0.1), (2, 0.001, 0.199), (4, 0.0, 0.8), (5, 0.0, 1.0), (10**6, 0.4, 0.6), (3, 20.0, 0.0)],
)
def test_receives_that_bring_nothing_are_spaced(empties: int, took: float, rest: float) -> None:
    """To one in a second; a long poll has waited by itself."""
    assert idle_rest(empties, took) == pytest.approx(rest)


def test_why_ecs_refused_is_told() -> None:
    """Each reason once, and for the log with the instance; of thousands some."""
    arn = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/4b6d"
    failures = [Failure(arn=arn, reason="RESOURCE:CPU"), Failure(arn="i2", reason="MISSING"), Failure()]
    told = of_answer(StartTaskResponse(failures=failures))
    assert told.reasons == ("RESOURCE:CPU", "MISSING", "")
    assert told.why == "RESOURCE:CPU on 4b6d, MISSING on i2, no reason on ?"
    starts = [a_start(Outcome.REFUSED, "AGENT")]
    assert of_error(StartIncomplete("refused", starts=starts)).why == "AGENT on i"
    many = of_answer(StartTaskResponse(failures=failures[:1] * 1000))
    assert many.why.endswith("RESOURCE:CPU on 4b6d and 990 more")
    assert of_error(AccessDeniedException("no", code="AccessDeniedException")).reasons == ("AccessDeniedException",)
