"""Asking SQS and DynamoDB: every way in which that can fail is one error, and what it means is read here."""

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
from aioecs.errors import ConfigurationError
from aioecs.worker._clock import Reading

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
_MOST_EXPIRED = 5  # refusals in a row: by then whatever renews credentials would have done so
_NO_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.ProfileNotFound,
    botocore.NoAuthTokenError,
)


def code_of(error: BaseException | None) -> str | None:
    """Return the code of a service's error; None if it is none, or bears none."""
    if not isinstance(error, botocore.ClientError):
        return None
    code = error.response.get("Error", {}).get("Code")
    return None if code is None else str(code)


def named(error: BaseException) -> str:
    """Name an error for a log: its code, or its kind."""
    return code_of(error) or type(error).__name__


def is_permanent(error: BaseException | None) -> bool:
    """Tell whether it is about credentials or permissions, and will be so until somebody changes the settings."""
    return isinstance(error, _NO_CREDENTIALS) or code_of(error) in _FORBIDDEN


def stays(error: BaseException | None, failures: int) -> bool:
    """Tell whether an error is permanent, after so many failures in a row: expired credentials may yet be renewed."""
    return is_permanent(error) or (failures >= _MOST_EXPIRED and code_of(error) in _EXPIRED)


def opening(
    service: str,
    config: AioConfig,
    *,
    client: Client | None,
    session: AioSession | None,
    region_name: str | None,
    endpoint_url: str | None,
) -> AbstractAsyncContextManager[Any]:
    """Return what opens a client of a service: of this session, else as the ECS client reaches ECS.

    Raises:
        ClientStateError: the ECS client is not open.
        ConfigurationError: there is no Region, or no such profile.
    """
    if session is None and client is not None:
        return opened(access_of(client), service, config=config, endpoint_url=endpoint_url, region_name=region_name)
    session = session if session is not None else AioSession()
    return cast(
        "AbstractAsyncContextManager[Any]",
        session.create_client(service, region_name=region_name, endpoint_url=endpoint_url, config=config),
    )


async def entered(what: str, entering: Awaitable[Any]) -> Any:
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
        raise ConfigurationError(f"{what}: {error}") from error


async def ask(client: Any, method: str, **members: Any) -> tuple[Any, Reading | None]:
    """Call a method of a client, and return its answer and what that tells of our clock.

    Raises:
        Exception: of botocore's kinds, or whatever its parser makes of an answer that is none.
    """
    sent = time.time()
    answer = await asked(client, method, **members)
    return answer, reading(answer, sent, time.time())


def reading(answer: Any, sent: float, received: float) -> Reading | None:
    """Read what an answer's Date tells of our clock; None if it bears none that can be read."""
    about = answer.get("ResponseMetadata") if isinstance(answer, dict) else None
    headers = about.get("HTTPHeaders") if isinstance(about, dict) else None
    date = headers.get("date") if isinstance(headers, dict) else None
    try:
        return Reading(parsedate_to_datetime(date).timestamp(), sent, received) if isinstance(date, str) else None
    except (ValueError, OverflowError, OSError):
        return None
