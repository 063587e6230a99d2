"""From a client's settings to an open port: what can be found wrong with them is found here."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore import exceptions as botocore

from aioecs._wire import guarded
from aioecs._wire.connections import Connections
from aioecs._wire.fast import FastPort
from aioecs._wire.models import gently, lean
from aioecs._wire.plain import PlainPort
from aioecs._wire.port import OPERATIONS
from aioecs._wire.quiet import withheld
from aioecs._wire.rehearsal import Otherwise, Shown, rehearsed
from aioecs._wire.settings import Settings
from aioecs._wire.signing import Keys
from aioecs.errors import ConfigurationError

log = logging.getLogger("aioecs")


def _merged(settings: Settings) -> AioConfig:
    """Put what aioecs answers for over the caller's config: retries off in every mode, and the clocks."""
    ours = AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.timeouts.connect,
        read_timeout=settings.timeouts.attempt,
        max_pool_connections=settings.pool,
    )
    theirs = settings.config
    if getattr(theirs, "http_session_cls", AIOHTTPSession) is AIOHTTPSession:
        ours = ours.merge(AioConfig(http_session_cls=guarded.http_session()))
    if theirs is None:
        return ours
    return theirs.merge(ours) if isinstance(theirs, AioConfig) else AioConfig().merge(theirs).merge(ours)


_LOADERS: dict[Any, Any] = {}
"""By data path, what has read botocore's data files for sessions of aioecs's own: once a process, not once a client."""
_WARM: weakref.WeakSet[Any] = weakref.WeakSet()
"""The loaders that have read what an ECS client needs."""


def session_of(settings: Settings) -> Any:
    """Return the session to make a client of: the caller's, or one of our own."""
    if settings.session is not None:
        return settings.session
    session = AioSession(profile=settings.profile_name)
    try:
        path = session.get_config_variable("data_path")
    except botocore.BotoCoreError:  # a profile that isn't there: to be told when the client is made
        return session
    if path not in _LOADERS:
        _LOADERS[path] = lean(session.get_component("data_loader"))
    session.register_component("data_loader", _LOADERS[path])
    return session


def warm(session: Any) -> None:
    """Let the session's loader read, and botocore compile, what a client needs: takes long, so call it in a thread.

    It makes a client of a session of its own that shares the loader alone, rehearses with it, and throws it away.
    """
    try:
        loader = session.get_component("data_loader")
        if loader not in _WARM:
            with gently(loader):
                asyncio.run(_warmed(loader))
            _WARM.add(loader)
    except Exception as error:  # noqa: BLE001 what fails here fails again, and is told, when the client is made
        log.debug("the models could not be read ahead: %s", type(error).__name__)


async def _warmed(loader: Any) -> None:
    session = AioSession()
    session.register_component("data_loader", loader)
    keys = Keys("nobody", "nothing")
    async with session.create_client(
        "ecs", "us-east-1", aws_access_key_id=keys.access_key, aws_secret_access_key=keys.secret_key
    ) as client:
        with withheld():
            await rehearsed(client, keys)


@asynccontextmanager
async def connected(settings: Settings, session: Any = None) -> AsyncGenerator[tuple[PlainPort | FastPort, Any]]:
    """Open the port, and the aiobotocore client beneath it, for the length of the block.

    `session` is what `session_of` gave for these settings, if it was asked already. On a session of our own the client
    is made in a thread, with a loop for its credentials' sake: it has no connection yet, and no loop that it is bound
    to. A cancel meanwhile leaves the thread to end by itself, with nothing open.

    Raises:
        ConfigurationError: no Region, an unknown Region or profile, or settings that contradict each other.
    """
    session = session if session is not None else session_of(settings)
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
        if settings.session is not None:  # which may know the caller's loop
            client = await opening.__aenter__()
        else:
            client = await asyncio.to_thread(asyncio.run, opening.__aenter__())
    except (botocore.BotoCoreError, ValueError, OSError) as error:  # OSError: a credential_process that isn't there
        raise ConfigurationError(_plainly(error)) from error
    try:
        _check_region(session, client, own_endpoint=settings.endpoint_url is not None or _has_own_endpoint(client))
        _check_endpoint(client)
        clock = settings.timeouts.connect + settings.timeouts.attempt
        who = await _who(session, settings, client)
        plain = PlainPort(client, clock, who)
        fast = await _fast(session, settings, client, who) if settings.transport == "auto" else None
        try:
            yield fast or plain, client
        finally:
            if fast is not None:
                await fast.close()
    finally:
        await opening.__aexit__(None, None, None)


async def _fast(session: Any, settings: Settings, client: Any, who: Hashable) -> FastPort | None:
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
        return FastPort(client, shown, await _connections(client, shown, settings), credentials, who)
    except guarded.Changed as changed:
        log.warning("aioecs takes the plain way, and more CPU: %s", changed)
    except Otherwise as otherwise:
        log.debug("aioecs takes the plain way: %s", otherwise)
    except Exception as error:  # noqa: BLE001 what fails here, fails or heals on the plain way, where it is judged
        log.debug("aioecs takes the plain way: the rehearsal failed with %s", type(error).__name__)
    return None


async def _connections(client: Any, shown: Shown, settings: Settings) -> Connections:
    """Make connections to where the client's requests go, with its TLS and the settings' clocks."""
    url = urlsplit(shown.url)
    tls = await asyncio.to_thread(guarded.tls_of, client) if url.scheme == "https" else None
    return Connections(
        url.hostname or "",
        url.port or (80 if tls is None else 443),
        tls,
        connect=settings.timeouts.connect,
        answer=settings.timeouts.attempt,
        idle=client.meta.config.connector_args["keepalive_timeout"],
    )


def _is_plain_work(client: Any) -> bool:
    """Tell whether nothing is configured that the fast way doesn't do, as far as the client itself knows."""
    config = client.meta.config
    return (
        config.signature_version == "v4"
        and getattr(config, "account_id_endpoint_mode", None) != "required"
        and not getattr(config, "proxies_config", None)
        and set(config.connector_args) == {"keepalive_timeout"}  # which aiobotocore puts in itself
        and config.connector_args["keepalive_timeout"] is not None
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
