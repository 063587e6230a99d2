"""What of a client's settings is refused as it is opened: found in the client that botocore made of them.

Environment, profile, session and config are merged by then, so it does not matter where a setting came from.
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
    """Refuse what can't work, before anything is sent.

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
        return  # then it is found as they are used


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


def _check_endpoint(settings: Settings, client: Any) -> None:
    """Refuse FIPS or dual-stack beside an endpoint that isn't one, where the caller wrote both.

    botocore ignores the flags in silence. Where one of the two comes from the environment or the profile, the endpoint
    wins, with a warning: a local endpoint must work where FIPS is a company's policy.
    """
    scheme, host = urlsplit(client.meta.endpoint_url).scheme, urlsplit(client.meta.endpoint_url).hostname or ""
    url = redact_url(client.meta.endpoint_url)
    if scheme not in ("http", "https"):
        raise ConfigurationError(f"endpoint_url is of http or https, not {url}")
    for mark, name in (("fips", "use_fips_endpoint"), (".api.", "use_dualstack_endpoint")):
        if not getattr(client.meta.config, name) or mark in host:
            continue
        if settings.endpoint_url is not None and getattr(settings.config, name, None):
            raise ConfigurationError(f"{name} and endpoint_url ({url}) contradict each other: give one of them")
        log.warning("%s doesn't count: requests go to the endpoint that is set, %s", name, url)


def _check_strings(client: Any) -> None:
    """Refuse what the environment or the profile puts into a header, and no header can hold."""
    for name in CONFIG_STRINGS:
        reject_control_characters(name, getattr(client.meta.config, name, None))
    reject_control_characters("endpoint_url", client.meta.endpoint_url)


def check_tls_files(bundle: str | None, certificate: str | None, key: str | None) -> None:
    """Refuse a CA bundle or a client certificate that can't be loaded; ssl itself doesn't name the file."""
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
    """Refuse a proxy's URL that can't be used; it is not quoted, for it may hold a password."""
    for scheme, url in proxies.items():
        fault = proxy_url_fault(url)
        if fault is not None:
            where = f"{scheme.upper()}_PROXY or config.proxies"
            raise ConfigurationError(f"the proxy's URL ({where}) is malformed: {fault}; it is not shown")
