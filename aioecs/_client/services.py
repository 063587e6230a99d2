"""Clients of other AWS services, for what works beside an ECS client: the same session, Region and credentials.

What botocore logs of their requests and answers is withheld, as it is of the client's own: they hold message bodies
and session tokens.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from aioecs._client.access import Access
from aioecs._transport.log_redaction import redacted_logs
from aioecs._transport.transport_factory import make_session

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ServiceClient:
    """An aiobotocore client of a service, reached as an ECS client reaches ECS; `config` wins over its own.

    An async context manager.
    """

    def __init__(
        self, access: Access, service: str, *, config: Any, endpoint_url: str | None, region_name: str | None
    ) -> None:
        self._access = access
        self._service = service
        self._config = config
        self._endpoint_url = endpoint_url
        self._region_name = region_name if region_name is not None else access.region
        self._opening: Any = None

    async def __aenter__(self) -> Any:
        settings = self._access.settings
        with redacted_logs():
            self._opening = make_session(settings).create_client(
                self._service,
                region_name=self._region_name,
                endpoint_url=self._endpoint_url,
                aws_access_key_id=settings.aws_access_key_id,
                aws_secret_access_key=settings.aws_secret_access_key,
                aws_session_token=settings.aws_session_token,
                config=settings.config.merge(self._config) if settings.config is not None else self._config,
            )
            return await self._opening.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        await self._opening.__aexit__(None, None, None)


def opened(
    access: Access, service: str, *, config: Any, endpoint_url: str | None = None, region_name: str | None = None
) -> ServiceClient:
    """Return what opens a client of a service; by default in the Region of the ECS client."""
    return ServiceClient(access, service, config=config, endpoint_url=endpoint_url, region_name=region_name)


def local_endpoint(access: Access, service: str, ecs_endpoint: str) -> str | None:
    """Return ECS's endpoint for another service, if it is on this machine: a local ECS, LocalStack, moto.

    None where it is not, or where the environment or the profile names an endpoint of the service.
    """
    if urlsplit(ecs_endpoint).hostname not in _LOOPBACK:
        return None
    return None if access.settings.endpoint_url is None and _has_own_endpoint(access, service) else ecs_endpoint


def _has_own_endpoint(access: Access, service: str) -> bool:
    """Return whether botocore finds an endpoint for the service, by AWS's names of the settings."""
    if os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL"):
        return True
    session = make_session(access.settings)
    profile = session.get_scoped_config()
    section = session.full_config.get("services", {}).get(profile.get("services"), {}).get(service, {})
    return "endpoint_url" in profile or "endpoint_url" in section


async def asked(client: Any, method: str, **members: Any) -> Any:
    """Call a method of an aiobotocore client, and withhold what is logged of it."""
    with redacted_logs():
        return await getattr(client, method)(**members)
