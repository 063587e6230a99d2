"""A message's job, how its request is made and checked, and what an attempt to start it came to."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Iterable

import attrs

from aioecs._logic.calls.token import derived
from aioecs._model import RunTaskRequest, StartTaskRequest
from aioecs.errors import InvalidRequest
from aioecs.worker._jobs.decisions import DECISIONS, JobOutcome, MessageAction
from aioecs.worker._ledgers.claims import checked_key, checked_size
from aioecs.worker._ledgers.ledger import LedgerError
from aioecs.worker._sqs.message import Message

Request = StartTaskRequest | RunTaskRequest
ToRequest = Callable[[Message], Request | Awaitable[Request]]
Key = Callable[[Message], str]


@attrs.define(eq=False)
class Job:
    """A message's job, as far as this worker knows it."""

    message: Message
    cluster: str | None = None
    """The cluster that its request names, once the request was made."""
    lease: float = 0.0
    """When the lease that some worker has on it ends, in epoch seconds; 0 as long as no intent is known."""
    sent_keys: set[str] = attrs.Factory(set[str])
    """The idempotency keys of the requests that the present attempt was allowed to write."""
    lost: dict[str, LostLease] = attrs.Factory(dict[str, "LostLease"])
    """The attempts that were made here whose outcome was not known before the cutoff of their lease, by their keys."""
    received: float = attrs.Factory(lambda: time.time())  # noqa: PLW0108 looked up when it is called
    """When its message was received, in epoch seconds."""

    @property
    def may_have_surplus(self) -> bool:
        """Whether a task may run that is to be stopped once the job is settled."""
        return bool(self.lost)

    @property
    def surplus(self) -> list[str]:
        """Those tasks, or where they can be found, for the log."""
        tokens = {f"startedBy={derived(key)}" for lost in self.lost.values() for key in lost.sent_keys}
        return sorted(tokens.union(*(lost.arns for lost in self.lost.values())))

    def note_lost_lease(self, key: str, arns: Iterable[str] = ()) -> None:
        """Note that what the present attempt has started may be surplus: another worker can have the job."""
        if self.sent_keys or arns:
            lost = self.lost.setdefault(key, LostLease())
            lost.sent_keys |= self.sent_keys
            lost.arns.update(arns)


@attrs.define(eq=False)
class LostLease:
    """What an attempt may have started too late under its lease: each task is the job's own, or is to be stopped."""

    sent_keys: set[str] = attrs.Factory(set[str])
    """The idempotency keys of the requests that were written; their tasks bear tokens of these."""
    arns: set[str] = attrs.Factory(set[str])
    """The tasks that are known."""


@attrs.frozen
class AttemptResult:
    """What an attempt came to, and what is to be done about the message."""

    outcome: JobOutcome
    action: MessageAction
    why: str = ""
    """For the log: names and codes, never a part of the message."""
    reasons: tuple[str, ...] = attrs.field(default=(), eq=False)
    """Why ECS refused, if it did."""
    arns: tuple[str, ...] = attrs.field(default=(), eq=False)
    """The tasks that were started, if the start is settled."""
    started: int = attrs.field(default=0, eq=False)
    """How many starts it has made and settled."""
    adopted: int = attrs.field(default=0, eq=False)
    """How many starts of earlier attempts it has found and settled."""
    fatal: LedgerError | None = attrs.field(default=None, eq=False)
    """An error that no later attempt can avoid."""


def result_of(outcome: JobOutcome, why: str = "") -> AttemptResult:
    """Return the result for an outcome, with what is usually done about the message."""
    return AttemptResult(outcome, DECISIONS[outcome].action, why)


async def read_request(message: Message, to_request: ToRequest, key: Key) -> tuple[object, object]:
    """Call the user's functions, and return what they made of a message."""
    made = to_request(message)
    request = await made if inspect.isawaitable(made) else made
    return request, key(message)


def check_request(request: object, key: object) -> tuple[Request, str]:
    """Return the request and the key, if a ledger can hold them.

    Raises:
        InvalidRequest: a rule is broken.
    """
    if not isinstance(request, (StartTaskRequest, RunTaskRequest)):
        raise InvalidRequest(
            "to_request", "returns a StartTaskRequest or a RunTaskRequest", f"a {type(request).__name__}"
        )
    name = checked_key(key)
    checked_size(name, instances_of(request))
    return request, name


def instances_of(request: Request) -> tuple[str, ...]:
    """Return the container instances that a request names."""
    return tuple(request.container_instances) if isinstance(request, StartTaskRequest) else ()


def attempt_key(key: str, number: int) -> str:
    """Return the key of an attempt: after a failure the next one, as `restart="if_failed"` of `start_task` makes it."""
    return f"{key}\0restart {number}" if number else key


def broken_rule(error: InvalidRequest) -> str:
    """Name the rule that is broken, without the value, which may be a part of the message."""
    return f"InvalidRequest: {error.path}: {error.rule}"
