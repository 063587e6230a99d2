"""Requests to SQS and DynamoDB, and what their errors mean."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from email.utils import parsedate_to_datetime
from typing import Any, cast

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import exceptions as botocore

from aioecs import Client
from aioecs._client.client import access_of
from aioecs._client.services import asked, opened
from aioecs._transport.redaction import redacted_cause, redacted_text
from aioecs.errors import ConfigurationError
from aioecs.worker._clock import ClockReading

_FORBIDDEN = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "KMS.AccessDeniedException",
        "KmsAccessDenied",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes that only a change of settings can mend."""
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_MOST_EXPIRED = 5  # refusals in a row: by then credentials that are renewed would have been
_NO_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.ProfileNotFound,
    botocore.NoAuthTokenError,
)


def code_of(error: BaseException | None) -> str | None:
    """Return the code of a service's error; None if it has none, or is another error."""
    if not isinstance(error, botocore.ClientError):
        return None
    code = error.response.get("Error", {}).get("Code")
    return None if code is None else str(code)


def name_of(error: BaseException) -> str:
    """Name an error for a log: its code, or its kind."""
    return code_of(error) or type(error).__name__


def is_permanent(error: BaseException | None) -> bool:
    """Return whether it is about credentials or permissions, and will be so until somebody changes the settings."""
    return isinstance(error, _NO_CREDENTIALS) or code_of(error) in _FORBIDDEN


def is_lasting(error: BaseException | None, failures: int) -> bool:
    """Return whether an error is permanent, after this many failures: expired credentials may be renewed soon."""
    return is_permanent(error) or (failures >= _MOST_EXPIRED and code_of(error) in _EXPIRED)


def open_client(
    service: str,
    *,
    read_timeout: float,
    connections: int,
    client: Client | None,
    session: AioSession | None,
    region_name: str | None,
    endpoint_url: str | None,
) -> AbstractAsyncContextManager[Any]:
    """Return the client of a service, to be entered: of this session, else as the ECS client reaches ECS.

    It sends a request three times at most, so each must be one that may be repeated.

    Raises:
        ClientStateError: the ECS client is not open.
        ConfigurationError: there is no Region, or no such profile.
    """
    config = AioConfig(
        connect_timeout=3,
        read_timeout=read_timeout,
        max_pool_connections=connections,
        retries={"total_max_attempts": 3, "mode": "standard"},
    )
    if session is None and client is not None:
        return opened(access_of(client), service, config=config, endpoint_url=endpoint_url, region_name=region_name)
    session = session if session is not None else AioSession()
    return cast(
        "AbstractAsyncContextManager[Any]",
        session.create_client(service, region_name=region_name, endpoint_url=endpoint_url, config=config),
    )


async def enter_client(what: str, entering: Awaitable[Any]) -> Any:
    """Wait until a client is open.

    Raises:
        ConfigurationError: there is no Region, or the settings or credentials can't be used.
    """
    try:
        return await entering
    except botocore.NoRegionError as error:
        raise ConfigurationError(
            f"{what}: no Region: pass region_name=, or set AWS_DEFAULT_REGION, or a region in the profile"
        ) from error
    except (botocore.BotoCoreError, ValueError, OSError) as error:
        raise ConfigurationError(f"{what}: {redacted_text(error)}") from redacted_cause(error)


async def call(client: Any, method: str, **members: Any) -> tuple[Any, ClockReading | None]:
    """Call a method of a client, and return its answer and what that shows of this machine's clock.

    Raises:
        Exception: one of botocore's, or what its parser raises for an answer that it can't read.
    """
    sent = time.time()
    answer = await asked(client, method, **members)
    return answer, reading(answer, sent, time.time())


def reading(answer: Any, sent: float, received: float) -> ClockReading | None:
    """Return what an answer's Date shows of this machine's clock; None if it has no Date that can be read."""
    about = answer.get("ResponseMetadata") if isinstance(answer, dict) else None
    headers = about.get("HTTPHeaders") if isinstance(about, dict) else None
    date = headers.get("date") if isinstance(headers, dict) else None
    try:
        return ClockReading(parsedate_to_datetime(date).timestamp(), sent, received) if isinstance(date, str) else None
    except (ValueError, OverflowError, OSError):
        return None
