"""What a response or an error of ECS means for a job. Without I/O."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from aioecs._batch.placement.capacity_shortage import LARGER_THAN_ANY
from aioecs._logic.sending.capacity_refusal import is_capacity_reason, passes_with_capacity
from aioecs._model import Failure, Outcome, StartResult
from aioecs._model.arn import short
from aioecs._model.shapes.run_task import RunTaskResponse
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
from aioecs.worker._jobs.decisions import JobOutcome
from aioecs.worker._ledgers.ledger import EntryError, LedgerError

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
_LOGGED_REFUSALS = 10  # of thousands that there may be


@attrs.frozen
class StartOutcome:
    """What a start came to."""

    outcome: JobOutcome
    arns: tuple[str, ...] = ()
    """The tasks that are known to run, or to have run."""
    found: bool = False
    """Whether an earlier attempt had started them, so that this one started nothing."""
    proven: bool = False
    """Whether these very starts were refused: that is done only after nothing of an earlier attempt was found."""
    reasons: tuple[str, ...] = ()
    """Why ECS refused: each reason once, or the code of its error."""
    why: str = ""
    """The same for a log: with the instances that refused."""


def outcome_of_response(response: StartTaskResponse | RunTaskResponse, *, placed: bool = False) -> StartOutcome:
    """Return what a response means; `placed`: aioecs chose the instance, so any other may have capacity later."""
    arns = tuple(task.task_arn for task in response.tasks if task.task_arn)
    if not response.failures:
        return StartOutcome(JobOutcome.STARTED, arns, response.found)
    refused = _of_failures(response.failures, some=bool(response.tasks), placed=placed)
    if refused.outcome is JobOutcome.PARTLY_STARTED and isinstance(response, RunTaskResponse):
        # The client token is used up: ECS answers it with these tasks for ever, and starts no others.
        refused = attrs.evolve(refused, outcome=JobOutcome.PARTLY_REFUSED)
    return attrs.evolve(refused, arns=arns)


def _of_failures(failures: Sequence[Failure], *, some: bool = False, placed: bool = False) -> StartOutcome:
    """Return what refusals mean; `some`: other starts of the request succeeded."""
    reasons = [failure.reason or "" for failure in failures]
    for_now = not any(map(_fits_nowhere, failures)) and (placed or all(map(is_capacity_reason, reasons)))
    outcome = JobOutcome.NO_CAPACITY if for_now else JobOutcome.REFUSED
    if some:
        outcome = JobOutcome.PARTLY_STARTED if for_now else JobOutcome.PARTLY_REFUSED
    return StartOutcome(outcome, proven=not some, reasons=tuple(dict.fromkeys(reasons)), why=_described(failures))


def _fits_nowhere(failure: Failure) -> bool:
    return (failure.detail or "").startswith(LARGER_THAN_ANY)


def _described(failures: Sequence[Failure]) -> str:
    texts = [
        failure.detail or failure.reason or "no reason"
        if not failure.arn
        else f"{failure.reason or 'no reason'} on {short(failure.arn)}"
        for failure in failures
    ]
    more = f" and {len(texts) - _LOGGED_REFUSALS} more" if len(texts) > _LOGGED_REFUSALS else ""
    return ", ".join(texts[:_LOGGED_REFUSALS]) + more


def outcome_of_error(error: ECSError) -> StartOutcome:
    """Return what an error means."""
    starts = error.starts
    arns = tuple(start.task.task_arn for start in starts if start.task is not None and start.task.task_arn)
    outcomes = {start.outcome for start in starts}
    if Outcome.UNKNOWN in outcomes or (not starts and error.retry_safe is None):
        return StartOutcome(JobOutcome.UNKNOWN, arns)
    if outcomes == {Outcome.STARTED}:
        return StartOutcome(JobOutcome.STARTED, arns, any(start.found for start in starts))
    if outcomes & {Outcome.STARTED, Outcome.STOPPED}:
        return StartOutcome(JobOutcome.PARTLY_STARTED, arns)
    return _of_unstarted(error, starts)


def _of_unstarted(error: ECSError, starts: Sequence[StartResult]) -> StartOutcome:
    """Return what an error means whose starts have certainly started nothing."""
    refused = bool(starts) and all(start.failure is not None for start in starts)
    if isinstance(error, StartCancelled):
        return StartOutcome(JobOutcome.WITHDRAWN, proven=refused)
    if isinstance(error, IdempotencyMismatch):
        return StartOutcome(JobOutcome.MISMATCH)
    if refused:
        return _of_failures([start.failure for start in starts if start.failure is not None])
    if starts and all(map(passes_with_capacity, starts)):
        return StartOutcome(JobOutcome.NO_CAPACITY, proven=True, reasons=_code(error))
    outcome = _of_kind(error)
    return StartOutcome(outcome, reasons=_code(error) if outcome in (JobOutcome.REFUSED, JobOutcome.FORBIDDEN) else ())


def _code(error: ECSError) -> tuple[str, ...]:
    code = str(getattr(error, "code", ""))
    return (code,) if code else ()


def _of_kind(error: ECSError) -> JobOutcome:
    if isinstance(error, InvalidRequest | EntryError):
        return JobOutcome.INVALID
    if isinstance(error, LedgerError):
        return JobOutcome.LEDGER_UNREACHABLE
    if isinstance(error, AccessDeniedException | ConfigurationError):
        return JobOutcome.FORBIDDEN
    if isinstance(error, ECSServiceError) and error.code in _CREDENTIALS:
        return JobOutcome.FORBIDDEN
    if error.retry_safe is True or isinstance(error, ConnectionFailed | ClientStateError):
        return JobOutcome.NOT_SENT
    outcomes = {start.outcome for start in error.starts}
    return JobOutcome.NOT_SENT if outcomes == {Outcome.NOT_SENT} else JobOutcome.REFUSED
