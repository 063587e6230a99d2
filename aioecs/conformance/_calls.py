"""Sends single requests, without retries, and returns the answer or the error as ECS sent it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast

import anyio
import attrs
from botocore import exceptions as botocore
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

THROTTLED = frozenset({"ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException"})
NOT_PERMITTED = frozenset(
    {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "OptInRequired", "ExpiredTokenException"}
    | {"UnrecognizedClientException", "InvalidSignatureException", "InvalidClientTokenId"}
)
_UNSENT = (
    botocore.CredentialRetrievalError,
    botocore.NoAuthTokenError,
    botocore.NoCredentialsError,
    botocore.ParamValidationError,
    botocore.PartialCredentialsError,
    botocore.SSOError,
    botocore.TokenRetrievalError,
)
_MAX_SENDS = 6  # how often a throttled request is sent at most
_BACKOFF = 1.0  # seconds between two sends


def single_attempts(**members: Any) -> Config:
    """Return a configuration of botocore without retries."""
    settings: dict[str, Any] = {"retries": {"total_max_attempts": 1, "mode": "standard"}, **members}
    return Config(**{"connect_timeout": 5, "read_timeout": 60, "max_pool_connections": 50, **settings})


class Blocked(Exception):
    """A check can't be run here; the message says why."""


class NoAnswer(Exception):
    """No answer came; the message names the kind of error."""


@attrs.frozen
class Answer:
    """An answer of ECS. error: the code of an error, None on success."""

    body: dict[str, Any]
    status: int
    headers: Mapping[str, str]
    error: str | None = None

    @property
    def message(self) -> str:
        """The text of an error."""
        return str(self.body.get("Error", {}).get("Message", ""))

    @property
    def arns(self) -> list[str]:
        """The tasks in it."""
        return [str(task["taskArn"]) for task in self.body.get("tasks", ())]

    @property
    def reasons(self) -> list[str]:
        """The reasons of the failures in it."""
        return [str(failure.get("reason")) for failure in self.body.get("failures", ())]

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.error} ({self.status})"
        failures = f", failures {', '.join(self.reasons)}" if self.reasons else ""
        count = len(self.arns)
        return f"{self.status}, {count} task{'' if count == 1 else 's'}{failures}"


async def send_once(ecs: Any, operation: str, **members: Any) -> Answer:
    """Send one request of an operation, named as in boto3.

    Raises:
        Blocked: it was not sent, as without credentials; the message names the kind of error, which may hold secrets.
        NoAnswer: the connection broke, or timed out.
    """
    try:
        body = cast("dict[str, Any]", await getattr(ecs, operation)(**members))
    except ClientError as error:
        body = cast("dict[str, Any]", error.response)
        code = str(body.get("Error", {}).get("Code", ""))
        return _answer(body, code)
    except _UNSENT as error:
        raise Blocked(f"{operation} was not sent: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise NoAnswer(type(error).__name__) from error
    return _answer(body, None)


async def together(*functions: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run functions at once. The first error cancels the others, and is raised as itself, without a group."""
    try:
        async with anyio.create_task_group() as group:
            for function in functions:
                group.start_soon(function)
    except ExceptionGroup as raised:
        raise raised.exceptions[0] from None


def _answer(body: dict[str, Any], error: str | None) -> Answer:
    metadata = body.get("ResponseMetadata", {})
    return Answer(body, int(metadata.get("HTTPStatusCode", 0)), metadata.get("HTTPHeaders", {}), error)


async def send(ecs: Any, operation: str, **members: Any) -> Answer:
    """Send a request; one that is throttled, and so was not executed, is sent again a few times.

    Raises:
        Blocked: the credentials don't permit it, or there are none.
        NoAnswer: the connection broke, or timed out.
    """
    answer = await send_once(ecs, operation, **members)
    for _ in range(_MAX_SENDS - 1):
        if answer.error not in THROTTLED:
            break
        await anyio.sleep(_BACKOFF)
        answer = await send_once(ecs, operation, **members)
    if answer.error in NOT_PERMITTED:
        raise Blocked(f"{operation}: {answer.error}: {answer.message}")
    return answer
