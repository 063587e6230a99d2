"""A client's credential source: aiobotocore fetches and refreshes credentials, within a timeout and with redacted logs.

A failure of the source is reported with the source's name, never as an error of ECS. Answers of STS and SSO, and
tokens, are kept out of the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiobotocore.credentials import AioCredentials
from botocore.exceptions import InvalidConfigError, NoCredentialsError

from aioecs._transport.botocore import botocore_internals
from aioecs._transport.classify import not_sent_error
from aioecs._transport.log_redaction import redacted_logs
from aioecs._transport.native.signing import Keys
from aioecs.errors import ConfigurationError, ConnectionFailed

EXPIRED_CODES = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "UnrecognizedClientException"}
"""Error codes of a request that was rejected for credentials which a refresh may replace."""

T = TypeVar("T")


class CredentialSource:
    """The credentials that a client signs with."""

    def __init__(self, credentials: Any, timeout: float, find: Callable[[], Awaitable[Any]] | None = None) -> None:
        """Take aiobotocore's credentials, or None, and how long a fetch may take, in seconds.

        `find` looks for credentials again, if there were none when the client was opened.
        """
        self._timeout = timeout
        self._find = find
        self._keys: Keys | None = None
        self._frozen: Any = None
        self._refresh_lock = asyncio.Lock()
        self._take(credentials)

    def _take(self, credentials: Any) -> None:
        self._credentials: Any = credentials
        self._is_due: Callable[[], bool] | None = getattr(credentials, "refresh_needed", None)

    @property
    def name(self) -> str:
        """botocore's name of the source, such as `assume-role` or `container-role`."""
        return str(getattr(self._credentials, "method", None) or "none found")

    @property
    def fixed(self) -> Keys | None:
        """The credentials, if they are of a source that never refreshes them and are those that were read last."""
        held, read = self._credentials, self._frozen
        if type(held) is not AioCredentials or read is None:
            return None
        same = held.access_key is read.access_key and held.secret_key is read.secret_key and held.token is read.token
        return self._keys if same else None

    async def current(self) -> Keys:
        """Return the current credentials, refreshed if they are due.

        Raises:
            Exception: the source failed; `describe_failure` turns the error into one of aioecs.
        """
        credentials = self._credentials if self._credentials is not None else await self._find_credentials()
        if self._is_due is not None and self._is_due():
            frozen = await self._fetch(credentials.get_frozen_credentials())
        else:
            frozen = await credentials.get_frozen_credentials()
        if self._keys is None or frozen != self._frozen:
            self._keys, self._frozen = _check(Keys.from_frozen(frozen)), frozen
        return self._keys

    async def refresh(self, used: Keys | None) -> bool:
        """Replace rejected credentials, once for all requests that used them; return False if that is not possible."""
        try:
            async with self._refresh_lock:
                if await self.current() == used:
                    await self._fetch(botocore_internals.force_refresh(self._credentials))
                return await self.current() != used
        except Exception:  # noqa: BLE001 ECS's own error is reported instead: they have expired
            return False

    def describe_failure(self, error: Exception, operation: str) -> ConfigurationError | ConnectionFailed:
        """Return the error of a request that was not sent because the source failed."""
        missing = isinstance(error, NoCredentialsError)
        return not_sent_error(error, operation, "" if missing else self.name)

    async def _find_credentials(self) -> Any:
        credentials = await self._fetch(self._find()) if self._find is not None else None
        if credentials is None:
            raise NoCredentialsError
        self._take(credentials)
        return credentials

    async def _fetch(self, fetching: Awaitable[T]) -> T:
        try:
            with redacted_logs():
                async with asyncio.timeout(self._timeout):
                    return await fetching
        except TimeoutError as timeout_error:
            raise TimeoutError(str(timeout_error) or f"no answer within {self._timeout:g} s") from timeout_error


def _check(keys: Keys) -> Keys:
    fault = keys.fault
    if fault is not None:
        raise InvalidConfigError(error_msg=fault)
    return keys
