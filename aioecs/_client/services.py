"""Clients of other AWS services, for what works beside an ECS client: the same session, Region and credentials.

What botocore logs of their requests and answers is withheld, as it is of the client's own: they hold message bodies
and session tokens.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aioecs._transport.log_redaction import redacted_logs
from aioecs._transport.settings import Settings
from aioecs._transport.transport_factory import make_session


class ReachesECS(Protocol):
    """A client that says how it reaches ECS."""

    def reached_by(self) -> tuple[Settings, str]:
        """Return its settings and its Region."""
        ...


@asynccontextmanager
async def opened(
    client: ReachesECS, service: str, *, config: Any, endpoint_url: str | None = None, region_name: str | None = None
) -> AsyncGenerator[Any]:
    """Open an aiobotocore client of a service, reached as this client reaches ECS; `config` wins over its own.

    Raises:
        ClientStateError: the client isn't open.
    """
    settings, region = client.reached_by()
    with redacted_logs():
        opening = make_session(settings).create_client(
            service,
            region_name=region_name if region_name is not None else region,
            endpoint_url=endpoint_url,
            aws_access_key_id=settings.aws_access_key_id,
            aws_secret_access_key=settings.aws_secret_access_key,
            aws_session_token=settings.aws_session_token,
            config=settings.config.merge(config) if settings.config is not None else config,
        )
        other = await opening.__aenter__()
    try:
        yield other
    finally:
        await opening.__aexit__(None, None, None)


async def asked(client: Any, method: str, **members: Any) -> Any:
    """Call a method of an aiobotocore client, and withhold what is logged of it."""
    with redacted_logs():
        return await getattr(client, method)(**members)
