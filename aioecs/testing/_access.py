"""Who may talk to the server: a web page must neither read what it knows nor change what it does.

A page can send a simple request anywhere, but not with a header of its own, for which the browser asks the server
first: administration takes `ADMIN_HEADER`. A page whose name has been made to point to this machine (DNS rebinding)
may send any header, but its requests bear its own name as Host: names that are not the server's are refused.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

ADMIN_HEADER = "X-Aioecs-Admin"


def host_name(header: str) -> str:
    """Read the name in a Host header: without its port, brackets, or last dot, in lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].rstrip(".").lower()


def knows_host(header: str | None, names: Collection[str]) -> bool:
    """Tell whether a Host header is an address, localhost, or one of the server's names; only others can be rebound.

    A request without one is from no browser.
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
