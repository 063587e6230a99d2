"""_access: the host names that the server accepts."""

from __future__ import annotations

import pytest

from aioecs.testing import LocalECS
from aioecs.testing._access import host_name, is_allowed_host


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("127.0.0.1:8080", "127.0.0.1"),
        ("LocalHost", "localhost"),
        ("[::1]:8080", "::1"),
        ("ecs.test.:80", "ecs.test"),
        ("", ""),
    ],
)
def test_a_host_header_is_read(header: str, name: str) -> None:
    """Without port, brackets, last dot and case."""
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, True),
        ("127.0.0.1:1", True),
        ("10.0.0.7", True),
        ("[fe80::1]:80", True),
        ("ecs.localhost:80", True),
        ("ecs.test:80", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("notlocalhost", False),
        ("", False),
    ],
)
def test_only_names_can_be_rebound(header: str | None, *, known: bool) -> None:
    """Addresses, localhost and the server's own names are accepted."""
    assert is_allowed_host(header, {"ecs.test"}) is known


async def test_it_listens_on_loopback_by_default() -> None:
    """No other machine can reach it unless `host` is given."""
    async with LocalECS() as local:
        assert local.endpoint_url.startswith("http://127.0.0.1:")
