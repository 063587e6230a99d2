"""Opens the transport for a client's settings, and refuses settings that can't work."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
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
from aioecs._transport.botocore.service_models import chunked_loading, trimmed_loader
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
Opened = tuple[BotocoreTransport | NativeTransport | RecoveringTransport, Any]


def _merged_config(settings: Settings) -> AioConfig:
    """Return the caller's config with retries turned off and with the settings' timeouts."""
    config = AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.timeouts.connect,
        read_timeout=settings.timeouts.attempt,
        max_pool_connections=settings.pool_size,
    )
    given = settings.config
    if getattr(given, "http_session_cls", AIOHTTPSession) is AIOHTTPSession:
        config = config.merge(AioConfig(http_session_cls=botocore_internals.http_session_class()))
    if given is None:
        return config
    return given.merge(config) if isinstance(given, AioConfig) else AioConfig().merge(given).merge(config)


_SHARED_LOADERS: dict[Any, Any] = {}
"""By data path, the loader of botocore's data files that aioecs's own sessions share: files are read once a process."""
_PRELOADED: weakref.WeakSet[Any] = weakref.WeakSet()
"""The loaders that have already read what an ECS client needs."""


def make_session(settings: Settings) -> Any:
    """Return the session to create a client with: the caller's, or a new one."""
    if settings.session is not None:
        return settings.session
    session = AioSession(profile=settings.profile_name)
    session.set_default_client_config(_credential_source_config(settings))
    try:
        path = session.get_config_variable("data_path")
        region = _region(settings, session)
    except botocore.BotoCoreError:  # an unknown profile: reported when the client is created
        return session
    if region is not None:  # also for the services that credentials come from, such as STS
        session.set_config_variable("region", region)
    if path not in _SHARED_LOADERS:
        _SHARED_LOADERS[path] = trimmed_loader(session.get_component("data_loader"))
    session.register_component("data_loader", _SHARED_LOADERS[path])
    return session


def _credential_source_config(settings: Settings) -> AioConfig:
    """Bound requests to STS and SSO by the client's timeouts; the client's own `retries` try again."""
    return AioConfig(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=settings.timeouts.connect,
        read_timeout=settings.timeouts.attempt,
    )


def _region(settings: Settings, session: Any) -> str | None:
    """Return the Region that botocore finds, else that of AWS_REGION, which botocore doesn't read."""
    own = settings.region_name or getattr(settings.config, "region_name", None)
    if own:
        return own
    scoped = session.get_config_variable("region") or session.get_scoped_config().get("region")
    return scoped or os.environ.get("AWS_REGION") or None


def preload_models(session: Any) -> None:
    """Load and compile the models that an ECS client needs. This takes long: call it in a thread.

    It captures a request of a throwaway client whose session shares only the loader with the given one.
    """
    try:
        loader = session.get_component("data_loader")
        if loader not in _PRELOADED:
            with chunked_loading(loader):
                asyncio.run(_preload(loader))
            _PRELOADED.add(loader)
    except Exception as error:  # noqa: BLE001 the error is raised again when the client is created
        log.debug("the models could not be preloaded: %s", type(error).__name__)


async def _preload(loader: Any) -> None:
    session = AioSession()
    session.register_component("data_loader", loader)
    keys = Keys("nobody", "nothing")
    async with session.create_client(
        "ecs", "us-east-1", aws_access_key_id=keys.access_key, aws_secret_access_key=keys.secret_key
    ) as client:
        with redacted_logs():
            await capture_request(client, keys)


def open_transport(settings: Settings, session: Any = None) -> AbstractAsyncContextManager[Opened]:
    """Return what opens the transport, and the aiobotocore client that it uses, for the length of the block.

    `session` is the result of `make_session` for these settings, if there is one already. With a session of our own,
    the client is created in a thread on a short-lived event loop, which resolves the credentials: it has no connection
    yet and is bound to no loop. A cancel meanwhile lets the thread end by itself, with nothing open. Entering the block
    raises ConfigurationError: no Region, an unknown Region or profile, or settings that contradict each other.
    """
    return _Opening(settings, session)


class _Opening(AbstractAsyncContextManager[Opened]):
    """No generator: a loop that ends closes all async generators at once, each in the middle of the others."""

    def __init__(self, settings: Settings, session: Any) -> None:
        self._settings = settings
        self._session = session
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Opened:
        session = self._session if self._session is not None else make_session(self._settings)
        opening, client = await _create_client(session, self._settings)
        self._stack.push_async_exit(opening)
        try:
            await check_settings(session, self._settings, client)
            transport = await _choose_transport(session, self._settings, client)
        except BaseException:
            await self._stack.aclose()
            raise
        self._stack.push_async_callback(transport.close)
        return transport, client

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


async def _create_client(session: Any, settings: Settings) -> tuple[Any, Any]:
    """Create aiobotocore's client; return the context manager that closes it, and the client."""
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
            if settings.session is not None:  # it may be bound to the caller's loop
                return opening, await opening.__aenter__()
            return opening, await asyncio.to_thread(asyncio.run, opening.__aenter__())
    except (botocore.BotoCoreError, botocore.ClientError, ValueError, OSError) as error:
        failed = error
    raise opening_error(failed, _missing_region_text(failed))


async def _choose_transport(
    session: Any, settings: Settings, client: Any
) -> BotocoreTransport | NativeTransport | RecoveringTransport:
    """Choose the native transport if it supports the configuration, else the botocore transport."""
    timeout = settings.timeouts.connect + settings.timeouts.attempt
    rate_limit_key = await _rate_limit_key(session, settings, client)
    source = await _credential_source(session, settings, client, timeout)
    botocore_transport = BotocoreTransport(client, settings.timeouts, rate_limit_key, source)
    if settings.transport != "auto" or source is None:
        return botocore_transport

    async def open_native() -> NativeTransport | None:
        return await _open_native(settings, client, source, rate_limit_key)

    try:
        return await open_native() or botocore_transport
    except Exception as error:  # noqa: BLE001 the botocore transport reports the error, unless it has passed
        log.warning("aioecs uses the botocore transport until the native one can be opened: %s", redacted_text(error))
        return RecoveringTransport(botocore_transport, open_native, rate_limit_key)


async def _credential_source(session: Any, settings: Settings, client: Any, timeout: float) -> CredentialSource | None:
    """Return the client's credential source; None if its requests aren't signed."""
    if client.meta.config.signature_version is UNSIGNED:
        return None

    async def find() -> Any:
        credentials = await session.get_credentials()
        if credentials is not None:
            botocore_internals.sign_with(client, credentials)
        return credentials

    return CredentialSource(await _credentials(session, settings), timeout, find)


async def _open_native(
    settings: Settings, client: Any, source: CredentialSource, rate_limit_key: Hashable
) -> NativeTransport | None:
    """Open the native transport; return None if it does not support the configuration.

    Raises:
        Exception: it can't be opened now, because credentials or a file are missing.
    """
    try:
        if not _is_supported(client) or botocore_internals.proxy_for(client, client.meta.endpoint_url) is not None:
            return None
        keys = await source.current()
        with redacted_logs():
            captured = await capture_request(client, keys)
        return NativeTransport(client, captured, await _open_pool(client, captured, settings), source, rate_limit_key)
    except botocore_internals.UpstreamChanged as changed:
        log.warning("aioecs uses the botocore transport, which takes more CPU: %s", changed)
    except NotSupportedNatively as unsupported:
        log.debug("aioecs uses the botocore transport: %s", unsupported)
    return None


async def _open_pool(client: Any, captured: CapturedRequest, settings: Settings) -> ConnectionPool:
    """Make a connection pool for the captured URL, with the client's TLS context and the settings' timeouts."""
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
    """Return whether the native transport supports the client's own configuration."""
    config = client.meta.config
    return (
        config.signature_version == "v4"
        and getattr(config, "account_id_endpoint_mode", None) != "required"
        and not getattr(config, "proxies_config", None)
        and set(config.connector_args) == {"keepalive_timeout"}  # aiobotocore's own default
        and config.connector_args["keepalive_timeout"] is not None
        and botocore_internals.has_stock_http_session(client)
        and not botocore_internals.third_party_handlers(client, OPERATION_NAMES)
    )


async def _credentials(session: Any, settings: Settings) -> Any:
    """Return the credentials that the client signs with: the keys it was given, or the session's."""
    if settings.aws_access_key_id is None:
        return await session.get_credentials()
    return AioCredentials(settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token)


async def _rate_limit_key(session: Any, settings: Settings, client: Any) -> Hashable:
    """Return a key that clients sharing ECS's token buckets have in common: account, Region and endpoint.

    It is found without a further call. The account is its id where botocore knows it, else the credentials object that
    the session refreshes: an access key changes with every refresh. Keys given to the client itself identify no other.
    """
    if settings.aws_access_key_id is not None:
        return None
    credentials = await session.get_credentials()  # cached since the client was created
    if credentials is None:
        return None
    try:
        account = credentials.account_id
    except NotImplementedError:  # aiobotocore's refreshable credentials have none
        account = None
    return (account or credentials, client.meta.region_name, client.meta.endpoint_url)


def _missing_region_text(error: Exception) -> str | None:
    if isinstance(error, botocore.NoRegionError):
        return "no Region: pass region_name=, or set AWS_DEFAULT_REGION or AWS_REGION, or a region in the profile"
    return None
