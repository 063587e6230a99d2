"""Reads log streams of CloudWatch Logs through an aiobotocore client; every failure becomes an error of aioecs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from aiobotocore.config import AioConfig
from botocore import exceptions as botocore

from aioecs._transport.log_redaction import redacted_logs
from aioecs.errors import AnswerLost, ConfigurationError, ECSError, service_error

_MISSING = "ResourceNotFoundException"
_NO_CREDENTIALS = (botocore.NoCredentialsError, botocore.PartialCredentialsError)


@attrs.frozen
class LogPage:
    """One page of a log stream."""

    events: Sequence[Mapping[str, Any]]
    token: str | None


def log_config() -> AioConfig:
    """Return the settings of the client: one attempt, for the shared rate limiter counts each."""
    return AioConfig(connect_timeout=3, read_timeout=20, max_pool_connections=25, retries={"total_max_attempts": 1})


async def read_log_events(client: Any, group: str, stream: str, members: Mapping[str, Any]) -> LogPage | None:
    """Read one page; None if there is no such group or stream (yet).

    Raises:
        ECSServiceError: CloudWatch Logs refused, by the error of its code; `throttled` is True for a throttle.
        AnswerLost, ConfigurationError: no answer came; there are no credentials.
    """
    try:
        with redacted_logs():
            answer = await client.get_log_events(logGroupName=group, logStreamName=stream, **members)
    except botocore.ClientError as error:
        answer_error = _service_error(error)
        if answer_error is None:
            return None
        raise answer_error from error
    except _NO_CREDENTIALS as error:
        raise ConfigurationError(f"CloudWatch Logs: {error}") from error
    except (botocore.BotoCoreError, OSError, TimeoutError, ValueError) as error:
        raise AnswerLost(f"CloudWatch Logs: {type(error).__name__}") from error
    return _page(answer)


def _page(answer: Any) -> LogPage:
    events, token = answer.get("events"), answer.get("nextForwardToken")
    listed = [each for each in events if isinstance(each, dict)] if isinstance(events, list) else []
    return LogPage(listed, token if isinstance(token, str) else None)


def _service_error(error: botocore.ClientError) -> ECSError | None:
    answer_error = error.response.get("Error", {})
    code, message = str(answer_error.get("Code")), str(answer_error.get("Message"))
    if code == _MISSING:
        return None
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return service_error(code, f"CloudWatch Logs: {message[:500]}", status=status, operation="GetLogEvents")
