"""From a client's settings to an open port: what can be found wrong with them is found here."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore import exceptions as botocore

from aioecs._transport.botocore import botocore_internals
from aioecs._transport.botocore.botocore_transport import BotocoreTransport
from aioecs._transport.botocore.service_models import chunked_loading, use_trimmed_loader
from aioecs._transport.classify import opening_error
from aioecs._transport.credentials import CredentialSource
from aioecs._transport.log_redaction import redacted_logs
from aioecs._transport.native.captured_request import CapturedRequest, NotSupportedNatively, capture_request
from aioecs._transport.native.connection_pool import ConnectionPool
from aioecs._transport.native.native_transport import NativeTransport
from aioecs._transport.native.signing import Keys
from aioecs._transport.recovering_transport import RecoveringTransport
from aioecs._transport.redaction import redacted_text
from aioecs._transport.setting_checks import check_settings
from aioecs._transport.settings import Settings
from aioecs._transport.transport import OPERATION_NAMES

log = logging.getLogger("aioecs")


def _merged_config(settings: Settings) -> AioConfig:
    """Put what aioecs answers for over the caller's config: retries off in every mode, and the clocks."""
    ours = AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.timeouts.connect,
        read_timeout=settings.timeouts.attempt,
        max_pool_connections=settings.pool_size,
    )
    theirs = settings.config
    if getattr(theirs, "http_session_cls", AIOHTTPSession) is AIOHTTPSession:
        ours = ours.merge(AioConfig(http_session_cls=botocore_internals.http_session_class()))
    if theirs is None:
        return ours
    return theirs.merge(ours) if isinstance(theirs, AioConfig) else AioConfig().merge(theirs).merge(ours)


_SHARED_LOADERS: dict[Any, Any] = {}
"""By data path, what has read botocore's data files for sessions of aioecs's own: once a process, not once a client."""
_PRELOADED: weakref.WeakSet[Any] = weakref.WeakSet()
"""The loaders that have read what an ECS client needs."""


def make_session(settings: Settings) -> Any:
    """Return the session to make a client of: the caller's, or one of our own."""
    if settings.session is not None:
        return settings.session
    session = AioSession(profile=settings.profile_name)
    session.set_default_client_config(_credential_source_config(settings))
    try:
        path = session.get_config_variable("data_path")
        region = _region(settings, session)
    except botocore.BotoCoreError:  # a profile that isn't there: to be told when the client is made
        return session
    if region is not None:  # also for the services that credentials come from
        session.set_config_variable("region", region)
    if path not in _SHARED_LOADERS:
        _SHARED_LOADERS[path] = use_trimmed_loader(session.get_component("data_loader"))
    session.register_component("data_loader", _SHARED_LOADERS[path])
    return session


def _credential_source_config(settings: Settings) -> AioConfig:
    """Bound what STS or SSO is asked for credentials by the client's clocks; `retries` of the client try again."""
    return AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.timeouts.connect,
        read_timeout=settings.timeouts.attempt,
    )


def _region(settings: Settings, session: Any) -> str | None:
    """Return the Region as botocore finds it, else that of AWS_REGION, which botocore doesn't read."""
    own = settings.region_name or getattr(settings.config, "region_name", None)
    if own:
        return own
    scoped = session.get_config_variable("region") or session.get_scoped_config().get("region")
    return scoped or os.environ.get("AWS_REGION") or None


def preload_models(session: Any) -> None:
    """Let the session's loader read, and botocore compile, what a client needs: takes long, so call it in a thread.

    It makes a client of a session of its own that shares the loader alone, rehearses with it, and throws it away.
    """
    try:
        loader = session.get_component("data_loader")
        if loader not in _PRELOADED:
            with chunked_loading(loader):
                asyncio.run(_preload(loader))
            _PRELOADED.add(loader)
    except Exception as error:  # noqa: BLE001 what fails here fails again, and is told, when the client is made
        log.debug("the models could not be read ahead: %s", type(error).__name__)


async def _preload(loader: Any) -> None:
    session = AioSession()
    session.register_component("data_loader", loader)
    keys = Keys("nobody", "nothing")
    async with session.create_client(
        "ecs", "us-east-1", aws_access_key_id=keys.access_key, aws_secret_access_key=keys.secret_key
    ) as client:
        with redacted_logs():
            await capture_request(client, keys)


@asynccontextmanager
async def open_transport(
    settings: Settings, session: Any = None
) -> AsyncGenerator[tuple[BotocoreTransport | NativeTransport | RecoveringTransport, Any]]:
    """Open the port, and the aiobotocore client beneath it, for the length of the block.

    `session` is what `session_of` gave for these settings, if it was asked already. On a session of our own the client
    is made in a thread, with a loop for its credentials' sake: it has no connection yet, and no loop that it is bound
    to. A cancel meanwhile leaves the thread to end by itself, with nothing open.

    Raises:
        ConfigurationError: no Region, an unknown Region or profile, or settings that contradict each other.
    """
    session = session if session is not None else make_session(settings)
    opening, client = await _create_client(session, settings)
    try:
        await check_settings(session, settings, client)
        transport = await _choose_transport(session, settings, client)
        try:
            yield transport, client
        finally:
            await transport.close()
    finally:
        await opening.__aexit__(None, None, None)


async def _create_client(session: Any, settings: Settings) -> tuple[Any, Any]:
    """Make aiobotocore's client; return what closes it, and the client."""
    try:
        opening = session.create_client(
            "ecs",
            region_name=_region(settings, session),
            endpoint_url=settings.endpoint_url,
            aws_access_key_id=settings.aws_access_key_id,
            aws_secret_access_key=settings.aws_secret_access_key,
            aws_session_token=settings.aws_session_token,
            config=_merged_config(settings),
        )
        with redacted_logs():
            if settings.session is not None:  # which may know the caller's loop
                return opening, await opening.__aenter__()
            return opening, await asyncio.to_thread(asyncio.run, opening.__aenter__())
    except (botocore.BotoCoreError, botocore.ClientError, ValueError, OSError) as error:
        failed = error
    raise opening_error(failed, _missing_region_text(failed))


async def _choose_transport(
    session: Any, settings: Settings, client: Any
) -> BotocoreTransport | NativeTransport | RecoveringTransport:
    """Choose the transport: the native one, if it does all that is configured, and as soon as it can."""
    clock = settings.timeouts.connect + settings.timeouts.attempt
    rate_limit_key = await _rate_limit_key(session, settings, client)
    source = await _credential_source(session, settings, client, clock)
    botocore_transport = BotocoreTransport(client, clock, rate_limit_key, source)
    if settings.transport != "auto" or source is None:
        return botocore_transport

    async def open_native() -> NativeTransport | None:
        return await _open_native(settings, client, source, rate_limit_key)

    try:
        return await open_native() or botocore_transport
    except Exception as error:  # noqa: BLE001 what fails here, fails or heals on the plain way, where it is judged
        log.warning("aioecs sends by botocore's transport until the native one can be made: %s", redacted_text(error))
        return RecoveringTransport(botocore_transport, open_native, rate_limit_key)


async def _credential_source(session: Any, settings: Settings, client: Any, within: float) -> CredentialSource | None:
    """Return where the client's credentials come from; None where its requests aren't signed."""
    if client.meta.config.signature_version is UNSIGNED:
        return None

    async def find() -> Any:
        credentials = await session.get_credentials()
        if credentials is not None:
            botocore_internals.sign_with(client, credentials)
        return credentials

    return CredentialSource(await _credentials(session, settings), within, find)


async def _open_native(
    settings: Settings, client: Any, source: CredentialSource, rate_limit_key: Hashable
) -> NativeTransport | None:
    """Make the native transport, if it does all that is configured.

    Raises:
        Exception: it can't be made now, for want of credentials or of a file.
    """
    try:
        if not _is_supported(client) or botocore_internals.proxy_for(client, client.meta.endpoint_url) is not None:
            return None
        keys = await source.current()
        with redacted_logs():
            captured = await capture_request(client, keys)
        return NativeTransport(client, captured, await _connections(client, captured, settings), source, rate_limit_key)
    except botocore_internals.UpstreamChanged as changed:
        log.warning("aioecs takes the plain way, and more CPU: %s", changed)
    except NotSupportedNatively as otherwise:
        log.debug("aioecs takes the plain way: %s", otherwise)
    return None


async def _connections(client: Any, captured: CapturedRequest, settings: Settings) -> ConnectionPool:
    """Make connections to where the client's requests go, with its TLS and the settings' clocks."""
    url = urlsplit(captured.url)
    tls = await asyncio.to_thread(botocore_internals.tls_context, client) if url.scheme == "https" else None
    return ConnectionPool(
        url.hostname or "",
        url.port or (80 if tls is None else 443),
        tls,
        connect=settings.timeouts.connect,
        answer=settings.timeouts.attempt,
        idle=client.meta.config.connector_args["keepalive_timeout"],
    )


def _is_supported(client: Any) -> bool:
    """Tell whether nothing is configured that the fast way doesn't do, as far as the client itself knows."""
    config = client.meta.config
    return (
        config.signature_version == "v4"
        and getattr(config, "account_id_endpoint_mode", None) != "required"
        and not getattr(config, "proxies_config", None)
        and set(config.connector_args) == {"keepalive_timeout"}  # which aiobotocore puts in itself
        and config.connector_args["keepalive_timeout"] is not None
        and botocore_internals.has_stock_http_session(client)
        and not botocore_internals.third_party_handlers(client, OPERATION_NAMES)
    )


async def _credentials(session: Any, settings: Settings) -> Any:
    """Return what the client signs with: the keys it was given, or the session's, which are resolved by now."""
    if settings.aws_access_key_id is None:
        return await session.get_credentials()
    return AioCredentials(settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token)


async def _rate_limit_key(session: Any, settings: Settings, client: Any) -> Hashable:
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


def _missing_region_text(error: Exception) -> str | None:
    if isinstance(error, botocore.NoRegionError):
        return "no Region: pass region_name=, or set AWS_DEFAULT_REGION or AWS_REGION, or a region in the profile"
    return None
