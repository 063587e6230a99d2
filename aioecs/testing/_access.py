"""Which requests the server accepts: a web page must neither read its data nor change its behavior.

A page can send a simple request to any server. With a custom header, the browser first sends a preflight request, so
administration requires `ADMIN_HEADER`. A page whose host name was made to resolve to this machine (DNS rebinding) can
send any header, but its requests carry its own name as Host: names that are not the server's are refused.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

ADMIN_HEADER = "X-Aioecs-Admin"


def host_name(header: str) -> str:
    """Return the name in a Host header, in lower case, without port, brackets and trailing dot."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].rstrip(".").lower()


def is_allowed_host(header: str | None, names: Collection[str]) -> bool:
    """Return whether a Host header is an address, localhost, or one of the server's names; only others can be rebound.

    A request without the header doesn't come from a browser.
    """
    if header is None:
        return True
    name = host_name(header)
    return name in names or name == "localhost" or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
