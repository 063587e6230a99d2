"""Reads log streams of CloudWatch Logs through an aiobotocore client; every failure becomes an error of aioecs."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import attrs
from aiobotocore.config import AioConfig
from botocore import exceptions as botocore

from aioecs._transport.classify import opening_error
from aioecs._transport.log_redaction import redacted_logs
from aioecs.errors import AnswerLost, ConfigurationError, ECSError, service_error

_MISSING = "ResourceNotFoundException"
_NO_CREDENTIALS = (botocore.NoCredentialsError, botocore.PartialCredentialsError)


@attrs.frozen
class LogPage:
    """One page of a log stream, or of several."""

    events: Sequence[Mapping[str, Any]]
    token: str | None


def log_config() -> AioConfig:
    """Return the settings of the client: one attempt, for the shared rate limiter counts each."""
    return AioConfig(connect_timeout=3, read_timeout=20, max_pool_connections=25, retries={"total_max_attempts": 1})


async def enter_log_client(entering: Awaitable[Any]) -> Any:
    """Wait until the client is open.

    Raises:
        ConfigurationError: the settings or credentials can't be used, or the credentials can't be read now.
    """
    try:
        return await entering
    except (botocore.BotoCoreError, botocore.ClientError, ValueError, OSError) as error:
        failed = error
    raise opening_error(failed, f"CloudWatch Logs: {type(failed).__name__}")


async def read_log_events(client: Any, group: str, stream: str, members: Mapping[str, Any]) -> LogPage | None:
    """Read one page of a stream; None if there is no such group or stream (yet).

    Raises:
        ECSServiceError: CloudWatch Logs refused, by the error of its code; `throttled` is True for a throttle.
        AnswerLost, ConfigurationError: no answer came; there are no credentials.
    """
    answer = await _answer(client.get_log_events, logGroupName=group, logStreamName=stream, **members)
    return _page(answer, "nextForwardToken") if answer is not None else None


async def filter_log_events(client: Any, group: str, members: Mapping[str, Any]) -> LogPage | None:
    """Read one page of several streams; None if there is no such group, or a stream that is named does not exist.

    Raises:
        ECSServiceError, AnswerLost, ConfigurationError: as of `read_log_events`.
    """
    answer = await _answer(client.filter_log_events, logGroupName=group, **members)
    return _page(answer, "nextToken") if answer is not None else None


async def _answer(method: Any, **members: Any) -> Any:
    try:
        with redacted_logs():
            return await method(**members)
    except botocore.ClientError as error:
        answer_error = _service_error(error)
        if answer_error is None:
            return None
        raise answer_error from error
    except _NO_CREDENTIALS as error:
        raise ConfigurationError(f"CloudWatch Logs: {error}") from error
    except (botocore.BotoCoreError, OSError, TimeoutError, ValueError) as error:
        raise AnswerLost(f"CloudWatch Logs: {type(error).__name__}") from error


def _page(answer: Any, next_page: str) -> LogPage:
    events, token = answer.get("events"), answer.get(next_page)
    listed = [each for each in events if isinstance(each, dict)] if isinstance(events, list) else []
    return LogPage(listed, token if isinstance(token, str) else None)


def _service_error(error: botocore.ClientError) -> ECSError | None:
    answer_error = error.response.get("Error", {})
    code, message = str(answer_error.get("Code")), str(answer_error.get("Message"))
    if code == _MISSING:
        return None
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return service_error(code, f"CloudWatch Logs: {message[:500]}", status=status, operation=error.operation_name)
