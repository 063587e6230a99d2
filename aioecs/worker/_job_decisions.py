"""What becomes of a job and its message: decisions, pure. What happened comes in, what must now be done goes out.

A message asks for a job; the ledger says who may start it; the start has an outcome. Two things are then to be done:
one about the intent in the ledger, one about the message. `TABLE` says which, for all that can happen.

The intent goes back only where it is certain that nothing was started. It stays where a task may run: whoever has the
job next looks the token up. The message goes only when the start is settled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

from aioecs._model import Failure, Outcome
from aioecs._model.arn import short
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs.errors import (
    AccessDeniedException,
    ClientStateError,
    ConfigurationError,
    ConnectionFailed,
    ECSError,
    ECSServiceError,
    IdempotencyMismatch,
    InvalidRequest,
    StartCancelled,
)
from aioecs.worker._ledgers.claims import Verdict

LONGEST_DELAY = 900.0
"""The longest growing delay, in seconds."""
LONGEST_IDLE = 1.0
"""The longest time between two receives that bring nothing and don't wait, in seconds."""
LONGEST_INVISIBLE = 12 * 3600.0
"""How long SQS keeps a message from others after it was received, in seconds [docs]."""
_CREDENTIALS = frozenset(
    {
        "ExpiredTokenException",
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
# A refusal for these reasons may be none a minute later; `failures[].reason` is an open list.
_FOR_NOW = ("RESOURCE", "AGENT")
_TOLD = 10  # refusals in a log, of thousands that there may be


class Happened(StrEnum):
    """What a try to start a job came to."""

    STARTED = "started"
    """All of it runs, or has run."""
    SETTLED = "settled"
    """The ledger has its tasks: it was started before."""
    HELD = "held"
    """Another one has the job."""
    NO_ROOM = "no room"
    """ECS refused for now: no resources, or an agent that is away."""
    NOT_SENT = "not sent"
    """Nothing was started: throttled, no connection, no time."""
    FORBIDDEN = "forbidden"
    """Credentials or permissions: the fault is not the message's."""
    WITHDRAWN = "withdrawn"
    """The worker stops, or the lease could not be renewed, before anything was sent."""
    REFUSED = "refused"
    """ECS refused, and would again."""
    UNREADABLE = "unreadable"
    """No request can be made of the message, or none that may be sent."""
    MISMATCH = "mismatch"
    """The key stands for another request."""
    FORGOTTEN = "forgotten"
    """It may have been started so long ago that ECS can't be asked any more."""
    PARTLY = "partly started"
    """Some of it runs, and the rest may yet."""
    PARTLY_REFUSED = "partly refused"
    """Some of it runs, and the rest was refused for good."""
    UNKNOWN = "unknown"
    """It may run, or some of it."""
    LOST = "lost"
    """The job became another's while it was being started."""
    LEDGER_DOWN = "ledger down"
    """The ledger could not be asked: nothing was started."""
    SUCCEEDED = "succeeded"
    """Its tasks have ended, and succeeded."""
    FAILED = "failed"
    """Its tasks have ended, and one failed, in every attempt that was allowed."""
    END_UNKNOWN = "ended, unknown how"
    """It was started, and how its tasks ended can't be known."""
    RUNS = "runs"
    """Its tasks run, and the worker can't wait for them any longer: whoever receives the message does."""
    NOT_ASKED = "not asked"
    """Its tasks were started, and ECS could not be asked how they ended."""


class Intent(StrEnum):
    """What is done about the intent in the ledger."""

    SETTLE = "settle"
    RELEASE = "release"
    KEEP = "keep"
    """It stands, or there is none of ours."""


class Fate(StrEnum):
    """What is done about the message."""

    DELETE = "delete"
    GROWING = "growing"
    """Back, after a delay that grows with each receive."""
    LEASE = "lease"
    """Back, when the lease that stands has ended."""
    AT_ONCE = "at once"
    """Back, visible to others now."""
    REDRIVE = "redrive"
    """Back after a growing delay too, and never kept in flight: the queue's redrive policy is to take it."""


@attrs.frozen
class Act:
    """What must be done."""

    intent: Intent
    fate: Fate


TABLE: Mapping[Happened, Act] = {
    # happened            the intent      the message
    Happened.STARTED: Act(Intent.SETTLE, Fate.DELETE),
    Happened.SETTLED: Act(Intent.KEEP, Fate.DELETE),
    Happened.HELD: Act(Intent.KEEP, Fate.LEASE),
    Happened.NO_ROOM: Act(Intent.RELEASE, Fate.GROWING),
    Happened.NOT_SENT: Act(Intent.RELEASE, Fate.GROWING),
    Happened.FORBIDDEN: Act(Intent.RELEASE, Fate.GROWING),
    Happened.WITHDRAWN: Act(Intent.RELEASE, Fate.AT_ONCE),
    Happened.REFUSED: Act(Intent.RELEASE, Fate.REDRIVE),
    Happened.UNREADABLE: Act(Intent.RELEASE, Fate.REDRIVE),
    Happened.MISMATCH: Act(Intent.RELEASE, Fate.REDRIVE),
    Happened.FORGOTTEN: Act(Intent.KEEP, Fate.REDRIVE),
    Happened.PARTLY: Act(Intent.KEEP, Fate.LEASE),
    Happened.PARTLY_REFUSED: Act(Intent.KEEP, Fate.REDRIVE),
    Happened.UNKNOWN: Act(Intent.KEEP, Fate.LEASE),
    Happened.LOST: Act(Intent.KEEP, Fate.GROWING),
    Happened.LEDGER_DOWN: Act(Intent.KEEP, Fate.GROWING),
    Happened.SUCCEEDED: Act(Intent.KEEP, Fate.DELETE),
    Happened.FAILED: Act(Intent.KEEP, Fate.REDRIVE),
    Happened.END_UNKNOWN: Act(Intent.KEEP, Fate.REDRIVE),
    Happened.RUNS: Act(Intent.KEEP, Fate.AT_ONCE),
    Happened.NOT_ASKED: Act(Intent.KEEP, Fate.GROWING),
}


def act(happened: Happened, *, inherited: bool, proven: bool) -> Act:
    """Say what must be done.

    `inherited`: the intent is one that another left behind, whose request ECS may have acted on. It is taken back
    only where `proven`: we sent it ourselves, which we do only once nothing of the other's was found.
    """
    found = TABLE[happened]
    if found.intent is Intent.RELEASE and inherited and not proven:
        return Act(Intent.KEEP, found.fate if found.fate is Fate.REDRIVE else Fate.LEASE)
    return found


def of_claim(verdict: Verdict) -> Happened | None:
    """Say what a claim came to; None if the job is ours to start."""
    return _OF_CLAIM[verdict]


_OF_CLAIM: Mapping[Verdict, Happened | None] = {
    Verdict.GRANTED: None,
    Verdict.HELD: Happened.HELD,
    Verdict.SETTLED: Happened.SETTLED,
    Verdict.MISMATCH: Happened.MISMATCH,
    Verdict.FORGOTTEN: Happened.FORGOTTEN,
}


@attrs.frozen
class Concluded:
    """What a start came to."""

    happened: Happened
    arns: tuple[str, ...] = ()
    """The tasks that are known to run, or to have run."""
    proven: bool = False
    """Whether ECS itself refused these very starts: they were sent, so nothing of an earlier try had been found."""
    reasons: tuple[str, ...] = ()
    """Why ECS refused: each reason once, or the code of its error."""
    why: str = ""
    """The same for a log: with the instances that refused."""


def of_answer(answer: StartTaskResponse) -> Concluded:
    """Say what an answer means."""
    arns = tuple(task.task_arn for task in answer.tasks if task.task_arn)
    if not answer.failures:
        return Concluded(Happened.STARTED, arns)
    return attrs.evolve(_of_failures(answer.failures, some=bool(answer.tasks)), arns=arns)


def _of_failures(failures: Sequence[Failure], *, some: bool = False) -> Concluded:
    """Say what refusals mean; `some`: other instances of the request did start a task."""
    reasons = [failure.reason or "" for failure in failures]
    happened = _of_reasons(reasons)
    if some:
        happened = Happened.PARTLY if happened is Happened.NO_ROOM else Happened.PARTLY_REFUSED
    told = [f"{failure.reason or 'no reason'} on {short(failure.arn or '?')}" for failure in failures]
    why = ", ".join(told[:_TOLD]) + (f" and {len(told) - _TOLD} more" if len(told) > _TOLD else "")
    return Concluded(happened, proven=not some, reasons=tuple(dict.fromkeys(reasons)), why=why)


def of_error(error: ECSError) -> Concluded:
    """Say what an error means."""
    starts = error.starts
    arns = tuple(start.task.task_arn for start in starts if start.task is not None and start.task.task_arn)
    outcomes = {start.outcome for start in starts}
    if Outcome.UNKNOWN in outcomes or (not starts and error.retry_safe is None):
        return Concluded(Happened.UNKNOWN, arns)
    if outcomes == {Outcome.STARTED}:
        return Concluded(Happened.STARTED, arns)
    if outcomes & {Outcome.STARTED, Outcome.STOPPED}:
        return Concluded(Happened.PARTLY, arns)
    if isinstance(error, IdempotencyMismatch):
        return Concluded(Happened.MISMATCH)
    if starts and all(start.failure is not None for start in starts):
        return _of_failures([start.failure for start in starts if start.failure is not None])
    happened = _of_kind(error)
    code = getattr(error, "code", "") if happened in (Happened.REFUSED, Happened.FORBIDDEN) else ""
    return Concluded(happened, reasons=(str(code),) if code else ())


def _of_reasons(reasons: list[str]) -> Happened:
    """One that would be refused for good makes the whole so."""
    return Happened.NO_ROOM if all(reason.startswith(_FOR_NOW) for reason in reasons) else Happened.REFUSED


def _of_kind(error: ECSError) -> Happened:
    if isinstance(error, StartCancelled):
        return Happened.WITHDRAWN
    if isinstance(error, InvalidRequest):
        return Happened.UNREADABLE
    if isinstance(error, AccessDeniedException | ConfigurationError):
        return Happened.FORBIDDEN
    if isinstance(error, ECSServiceError) and error.code in _CREDENTIALS:
        return Happened.FORBIDDEN
    if error.retry_safe is True or isinstance(error, ConnectionFailed | ClientStateError):
        return Happened.NOT_SENT
    outcomes = {start.outcome for start in error.starts}
    return Happened.NOT_SENT if outcomes == {Outcome.NOT_SENT} else Happened.REFUSED


@attrs.frozen
class Lease:
    """For how long a job is held, in seconds."""

    guard: float
    """What must be left of it when a request goes out: it, and its tasks' showing in ECS's lists, end within."""
    length: float
    skew: float
    """How far the clocks of two workers may differ."""

    @property
    def rest(self) -> float:
        """How long after a claim or a renewal the next one is due."""
        return (self.length - self.guard) / 3

    def cutoff(self, until: float) -> float:
        """Say from when on nothing more may be sent under a lease that ends at `until`."""
        return until - self.guard


def lease_of(attempt: float, visibility: float, skew: float, length: float | None) -> Lease:
    """Make the lease that goes with a client's clocks.

    Raises:
        InvalidRequest: it is no longer than the guard.
    """
    guard = attempt + visibility + skew
    length = 2 * guard if length is None else length
    if not length > guard:
        raise InvalidRequest(
            "lease", f"longer than timeouts.attempt + timeouts.consistency + skew = {guard:g} s", length
        )
    return Lease(guard, length, skew)


def growing(tries: int, jitter: float) -> float:
    """Return how long a message that was received, or tried, so many times stays away, in seconds.

    From half of 1, 2, 4 … seconds to all of it, 900 at most.
    """
    return float(min(2.0 ** min(max(tries - 1, 0), 32), LONGEST_DELAY)) * (1 + jitter) / 2


def idle_rest(empties: int, took: float) -> float:
    """Return how long to rest before the next receive, in seconds, after so many in a row that brought nothing.

    From 0.1 s to 1 s from one to the next, the time that the last one took included: a long poll has waited by itself.
    """
    return max(0.0, min(0.1 * 2.0 ** min(max(empties - 1, 0), 10), LONGEST_IDLE) - took)


def is_last(receives: int, most: int | None) -> bool:
    """Tell whether the queue would move the message to its dead-letter queue at the next receive."""
    return most is not None and receives >= most


def delay(fate: Fate, *, tries: int, jitter: float, now: float, lease: float, skew: float) -> float:
    """Return how long a message stays away, in seconds; `lease` is until when the job is held."""
    if fate is Fate.AT_ONCE:
        return 0.0
    if fate is Fate.LEASE:
        return max(1.0, lease + skew - now) + jitter  # the jitter spreads the workers that wait for the same job
    return growing(tries, jitter)
