"""Signs requests with the credentials of this machine, as the AWS CLI finds them. They are never shown."""

from __future__ import annotations

import asyncio
from typing import Any


class FaultProxyError(Exception):
    """The fault proxy can't work as asked; the message says why."""


class Signer:
    """Signs requests with the credentials of a profile of the AWS configuration, None for the default chain."""

    def __init__(self, profile: str | None = None) -> None:
        self._profile = profile
        self._credentials: Any = None

    async def open(self) -> None:
        """Find the credentials.

        Raises:
            FaultProxyError: there are none.
        """
        self._credentials = await asyncio.to_thread(self._load)
        if self._credentials is None:
            raise FaultProxyError("no AWS credentials were found to sign with; the AWS CLI would use the same")

    async def sign(
        self, url: str, headers: list[tuple[str, str]], body: bytes, *, service: str, region: str
    ) -> list[tuple[str, str]]:
        """Return the headers with those of a signature.

        Raises:
            FaultProxyError: the credentials could not be refreshed; names the kind of error only.
        """
        return await asyncio.to_thread(self._sign, url, headers, body, service, region)

    def _load(self) -> Any:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        try:
            return Session(profile=self._profile).get_credentials()
        except BotoCoreError as error:
            raise FaultProxyError(f"the AWS credentials can't be read: {type(error).__name__}") from None

    def _sign(
        self, url: str, headers: list[tuple[str, str]], body: bytes, service: str, region: str
    ) -> list[tuple[str, str]]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        signed = {name: value for name, value in headers if name.lower() in ("content-type", "x-amz-target")}
        request = AWSRequest(method="POST", url=url, data=body, headers=signed)
        SigV4Auth(self._frozen(), service, region).add_auth(request)
        unsigned = [(name, value) for name, value in headers if name not in signed]
        return [*unsigned, *((str(name), str(value)) for name, value in request.headers.items())]

    def _frozen(self) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            raise FaultProxyError(f"the AWS credentials can't be refreshed: {type(error).__name__}") from None
