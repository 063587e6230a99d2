"""Clients of other AWS services, for what works beside an ECS client: the same session, Region and credentials.

What botocore logs of their requests and answers is withheld, as it is of the client's own: they hold message bodies
and session tokens.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aioecs._wire.connect import session_of
from aioecs._wire.quiet import withheld
from aioecs._wire.settings import Settings


@asynccontextmanager
async def opened(
    service: str, settings: Settings, *, region_name: str | None, endpoint_url: str | None, config: Any
) -> AsyncGenerator[Any]:
    """Open an aiobotocore client of a service, reached as the settings say; `config` wins over theirs."""
    with withheld():
        opening = session_of(settings).create_client(
            service,
            region_name=region_name,
            endpoint_url=endpoint_url,
            aws_access_key_id=settings.aws_access_key_id,
            aws_secret_access_key=settings.aws_secret_access_key,
            aws_session_token=settings.aws_session_token,
            config=settings.config.merge(config) if settings.config is not None else config,
        )
        client = await opening.__aenter__()
    try:
        yield client
    finally:
        await opening.__aexit__(None, None, None)


async def asked(client: Any, method: str, **members: Any) -> Any:
    """Call a method of an aiobotocore client, and withhold what is logged of it."""
    with withheld():
        return await getattr(client, method)(**members)
