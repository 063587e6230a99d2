"""From a client's settings to an open port: what can be found wrong with them is found here."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from types import NoneType
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore import exceptions as botocore

from aioecs._model.settings import Timeouts
from aioecs._wire import guarded
from aioecs._wire.fast import FastPort
from aioecs._wire.plain import PlainPort
from aioecs._wire.port import OPERATIONS
from aioecs._wire.quiet import withheld
from aioecs._wire.rehearsal import Otherwise, rehearsed
from aioecs._wire.signing import Keys
from aioecs.errors import ConfigurationError

log = logging.getLogger("aioecs")

Transport = Literal["auto", "botocore"]
"""How requests go: the fast way where it does all that is configured, or aiobotocore's own client always."""

_DEFAULT_POOL: int = getattr(AioConfig(), "max_pool_connections")  # noqa: B009 botocore makes it at run time


@attrs.frozen(kw_only=True)
class Settings:
    """How to reach ECS, as the caller gave it. Credentials are in no repr."""

    region_name: str | None = None
    endpoint_url: str | None = None
    profile_name: str | None = None
    session: Any = attrs.field(default=None, repr=False)
    config: Any = attrs.field(default=None, repr=False)
    aws_access_key_id: str | None = attrs.field(default=None, repr=False)
    aws_secret_access_key: str | None = attrs.field(default=None, repr=False)
    aws_session_token: str | None = attrs.field(default=None, repr=False)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    max_in_flight: int = 50
    transport: Transport = "auto"

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.session, (AioSession, NoneType)):
            raise ConfigurationError(f"session is an aiobotocore AioSession, not a {_kind(self.session)}")
        if self.session is not None and self.profile_name is not None:
            raise ConfigurationError("profile_name goes with a session of the client's own: give it to your session")
        if self.config is not None and not hasattr(self.config, "merge"):
            raise ConfigurationError(f"config is an aiobotocore AioConfig, not a {_kind(self.config)}")
        pool: Any = self.pool  # botocore takes anything there
        if not isinstance(pool, int) or pool < 1:
            raise ConfigurationError(f"config.max_pool_connections is a whole number, 1 or more, not {pool!r}")
        http_session = getattr(self.config, "http_session_cls", AIOHTTPSession)
        if not (isinstance(http_session, type) and issubclass(http_session, AIOHTTPSession)):
            raise ConfigurationError(
                "config.http_session_cls must be aiobotocore's AIOHTTPSession: only there can aioecs see whether a "
                "request was sent"
            )

    @property
    def pool(self) -> int:
        """Connections in the pool: what the caller's config says, or as many as may be in flight."""
        given: int | None = getattr(self.config, "max_pool_connections", None)
        return self.max_in_flight if given in (None, _DEFAULT_POOL) else given


def _merged(settings: Settings) -> AioConfig:
    """Put what aioecs answers for over the caller's config: retries off in every mode, and the clocks."""
    ours = AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.timeouts.connect,
        read_timeout=settings.timeouts.attempt,
        max_pool_connections=settings.pool,
    )
    return settings.config.merge(ours) if settings.config is not None else ours


@asynccontextmanager
async def connected(settings: Settings) -> AsyncGenerator[tuple[PlainPort | FastPort, Any]]:
    """Open the port, and the aiobotocore client beneath it, for the length of the block.

    Raises:
        ConfigurationError: no Region, an unknown Region or profile, or settings that contradict each other.
    """
    session = settings.session if settings.session is not None else AioSession(profile=settings.profile_name)
    try:
        opening = session.create_client(
            "ecs",
            region_name=settings.region_name,
            endpoint_url=settings.endpoint_url,
            aws_access_key_id=settings.aws_access_key_id,
            aws_secret_access_key=settings.aws_secret_access_key,
            aws_session_token=settings.aws_session_token,
            config=_merged(settings),
        )
        client = await opening.__aenter__()
    except (botocore.BotoCoreError, ValueError, OSError) as error:  # OSError: a credential_process that isn't there
        raise ConfigurationError(_plainly(error)) from error
    try:
        _check_region(session, client, own_endpoint=settings.endpoint_url is not None or _has_own_endpoint(client))
        _check_endpoint(client)
        clock = settings.timeouts.connect + settings.timeouts.attempt
        who = await _who(session, settings, client)
        plain = PlainPort(client, clock, who)
        fast = await _fast(session, settings, client, clock, who) if settings.transport == "auto" else None
        yield fast or plain, client
    finally:
        await opening.__aexit__(None, None, None)


async def _fast(session: Any, settings: Settings, client: Any, clock: float, who: Hashable) -> FastPort | None:
    """Make the fast way, if it does all that is configured."""
    try:
        if not _is_plain_work(client) or guarded.proxy_of(client, client.meta.endpoint_url) is not None:
            return None
        credentials = await _credentials(session, settings)
        if credentials is None:
            return None
        frozen = await credentials.get_frozen_credentials()
        keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        with withheld():
            shown = await rehearsed(client, keys)
        return FastPort(client, shown, await guarded.pool_of(client), credentials, clock, who)
    except guarded.Changed as changed:
        log.warning("aioecs takes the plain way, and more CPU: %s", changed)
    except Otherwise as otherwise:
        log.debug("aioecs takes the plain way: %s", otherwise)
    except Exception as error:  # noqa: BLE001 what fails here, fails or heals on the plain way, where it is judged
        log.debug("aioecs takes the plain way: the rehearsal failed with %s", type(error).__name__)
    return None


def _is_plain_work(client: Any) -> bool:
    """Tell whether nothing is configured that the fast way doesn't do, as far as the client itself knows."""
    config = client.meta.config
    return (
        config.signature_version == "v4"
        and getattr(config, "account_id_endpoint_mode", None) != "required"
        and not getattr(config, "proxies_config", None)
        and guarded.is_stock(client)
        and not guarded.foreign_handlers(client, OPERATIONS)
    )


async def _credentials(session: Any, settings: Settings) -> Any:
    """Return what the client signs with: the keys it was given, or the session's, which are resolved by now."""
    if settings.aws_access_key_id is None:
        return await session.get_credentials()
    return AioCredentials(settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token)


async def _who(session: Any, settings: Settings, client: Any) -> Hashable:
    """Return whose token buckets the client takes from, by what needs no further call: account, Region, endpoint.

    The account is its id where botocore knows it, else the credentials object that the session refreshes; the access
    key would not do, for it changes with every refresh. Keys given to the client itself are known to no other.
    """
    if settings.aws_access_key_id is not None:
        return None
    credentials = await session.get_credentials()  # resolved already, and kept, when the client was made
    if credentials is None:
        return None
    try:
        account = credentials.account_id
    except NotImplementedError:  # aiobotocore's refreshable ones tell it only after a refresh
        account = None
    return (account or credentials, client.meta.region_name, client.meta.endpoint_url)


def _kind(given: object) -> str:
    return f"{type(given).__module__}.{type(given).__qualname__}"


def _plainly(error: Exception) -> str:
    if isinstance(error, botocore.NoRegionError):
        return "no Region: pass region_name=, or set AWS_DEFAULT_REGION, or a region in the profile"
    return str(error)


def _has_own_endpoint(client: Any) -> bool:
    """Tell whether the endpoint is the caller's own rather than the one that botocore's rules gave."""
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return f".{client.meta.region_name.lower()}." not in f".{host}."


def _check_region(session: Any, client: Any, own_endpoint: bool) -> None:
    """Refuse a Region of no partition; botocore takes any word and asks the DNS for it."""
    if own_endpoint:
        return
    try:
        session.get_partition_for_region(client.meta.region_name)
    except botocore.UnknownRegionError as error:
        raise ConfigurationError(f"unknown Region {client.meta.region_name!r}: no partition of AWS has it") from error


def _check_endpoint(client: Any) -> None:
    """Refuse FIPS or dual-stack beside an endpoint that isn't one; botocore ignores the flags in silence."""
    scheme, host = urlsplit(client.meta.endpoint_url).scheme, urlsplit(client.meta.endpoint_url).hostname or ""
    if scheme not in ("http", "https"):
        raise ConfigurationError(f"endpoint_url is of http or https, not {client.meta.endpoint_url}")
    config = client.meta.config
    for asked, mark, name in (
        (config.use_fips_endpoint, "fips", "use_fips_endpoint"),
        (config.use_dualstack_endpoint, ".api.", "use_dualstack_endpoint"),
    ):
        if asked and mark not in host:
            raise ConfigurationError(
                f"{name} and endpoint_url ({client.meta.endpoint_url}) contradict each other: give one of them"
            )
