"""Refuses settings that can't work, as a client is opened.

The checks read the client that botocore created. Environment, profile, session and config are merged in it, so it does
not matter where a setting came from.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as botocore

from aioecs._transport.botocore import botocore_internals
from aioecs._transport.redaction import proxy_url_fault, redacted_text
from aioecs._transport.settings import CONFIG_STRINGS, Settings, redact_url, reject_control_characters
from aioecs.errors import ConfigurationError

log = logging.getLogger("aioecs")


async def check_settings(session: Any, settings: Settings, client: Any) -> None:
    """Refuse settings that can't work, before anything is sent.

    Raises:
        ConfigurationError: a setting is unusable, or two contradict each other.
    """
    _check_region(session, client, own_endpoint=settings.endpoint_url is not None or _has_own_endpoint(client))
    _check_endpoint(settings, client)
    _check_strings(client)
    try:
        _check_proxies(botocore_internals.proxies(client))
        if client.meta.endpoint_url.startswith("https:"):
            await asyncio.to_thread(check_tls_files, *botocore_internals.tls_files(client))
    except botocore_internals.UpstreamChanged:
        return  # an unusable setting is then reported by the first request


def _has_own_endpoint(client: Any) -> bool:
    """Return whether the endpoint is one that the caller set, rather than one of AWS's."""
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return f".{client.meta.region_name.lower()}." not in f".{host}."


def _check_region(session: Any, client: Any, own_endpoint: bool) -> None:
    """Refuse a Region that no partition has; botocore accepts any name and fails in the DNS."""
    if own_endpoint:
        return
    try:
        session.get_partition_for_region(client.meta.region_name)
    except botocore.UnknownRegionError as error:
        raise ConfigurationError(f"unknown Region {client.meta.region_name!r}: no partition of AWS has it") from error


def _check_endpoint(settings: Settings, client: Any) -> None:
    """Refuse FIPS or dual-stack with an endpoint that isn't of that kind, where the caller passed both.

    botocore ignores the flags silently. Where one of the two comes from the environment or the profile, the endpoint
    wins, with a warning: a local endpoint must work where FIPS is a company's policy.
    """
    scheme, host = urlsplit(client.meta.endpoint_url).scheme, urlsplit(client.meta.endpoint_url).hostname or ""
    url = redact_url(client.meta.endpoint_url)
    if scheme not in ("http", "https"):
        raise ConfigurationError(f"endpoint_url must be of http or https, not {url}")
    for mark, name in (("fips", "use_fips_endpoint"), (".api.", "use_dualstack_endpoint")):
        if not getattr(client.meta.config, name) or mark in host:
            continue
        if settings.endpoint_url is not None and getattr(settings.config, name, None):
            raise ConfigurationError(f"{name} and endpoint_url ({url}) contradict each other: give one of them")
        log.warning("%s is ignored: requests go to the endpoint that is set, %s", name, url)


def _check_strings(client: Any) -> None:
    """Refuse control characters in settings that become headers, wherever they were set."""
    for name in CONFIG_STRINGS:
        reject_control_characters(name, getattr(client.meta.config, name, None))
    reject_control_characters("endpoint_url", client.meta.endpoint_url)


def check_tls_files(bundle: str | None, certificate: str | None, key: str | None) -> None:
    """Refuse a CA bundle or a client certificate that can't be loaded, by name: ssl's own error has no file name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if bundle is not None:
        _load("CA bundle", bundle, lambda: context.load_verify_locations(bundle))
    if certificate is not None:
        _load("client certificate", certificate, lambda: context.load_cert_chain(certificate, key))


def _load(what: str, path: str, load: Callable[[], object]) -> None:
    try:
        load()
    except OSError as error:  # ssl.SSLError among them
        raise ConfigurationError(f"the {what} can't be read: {path}: {redacted_text(error)}") from error


def _check_proxies(proxies: dict[str, str]) -> None:
    """Refuse a malformed proxy URL without quoting it: it may hold a password."""
    for scheme, url in proxies.items():
        fault = proxy_url_fault(url)
        if fault is not None:
            where = f"{scheme.upper()}_PROXY or config.proxies"
            raise ConfigurationError(f"the proxy's URL ({where}) is malformed: {fault}; it is not shown")
