"""The options for credentials, Region and endpoint: the AWS CLI's, the same on every command."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

import aioecs
from aioecs.cli._access import Access, with_access
from aioecs.cli._app import app
from aioecs.testing import LocalECS

CREDENTIALS: dict[str, Any] = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}


def test_the_clocks() -> None:
    """They are the client's own until they are set, and a call always has time for one whole request."""
    assert Access().timeouts == aioecs.Timeouts()
    set_to = Access(connect_timeout=7, read_timeout=200).timeouts
    assert (set_to.connect, set_to.attempt, set_to.call) == (7, 200, 207)


def test_what_a_command_gets() -> None:
    """A command takes `access`; typer sees each access option after the command's own, named as in the AWS CLI."""
    got: list[Any] = []

    def command(cluster: str = "c", *, access: Access) -> int:
        got.append((cluster, access))
        return 3

    given: dict[str, Any] = {
        "region": "r",
        "profile": "p",
        "endpoint_url": "u",
        "no_verify_ssl": True,
        "ca_bundle": Path("f"),
        "cli_connect_timeout": 1,
        "cli_read_timeout": 2,
    }
    assert with_access(command)(cluster="d", **given) == 3
    access = Access(
        region="r",
        profile="p",
        endpoint_url="u",
        verify_ssl=False,
        ca_bundle=Path("f"),
        connect_timeout=1,
        read_timeout=2,
    )
    assert got == [("d", access)]


def test_every_command_has_them() -> None:
    """All commands that reach an ECS take the same options; `local` is one itself."""
    for command in app.registered_commands:
        taken = set(getattr(command.callback, "__annotations__", {}))
        assert ("cli_read_timeout" in taken) is (command.name != "local"), command.name


async def reached(access: Access) -> bool:
    """Return whether an ECS answers there."""
    options = access.client_options() | {"retries": aioecs.Retries(max_attempts=1)}
    async with aioecs.Client(**options, **CREDENTIALS) as client:
        try:
            await client.list_tasks()
        except aioecs.ConnectionFailed:
            return False
        return True


async def test_certificates(tmp_path: Path) -> None:
    """A certificate is checked with the file that is given, with the usual ones otherwise, or not at all."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    async with LocalECS(ssl_context=context) as local:
        where: dict[str, Any] = {"region": "eu-west-1", "endpoint_url": local.endpoint_url}
        assert not await reached(Access(**where))
        assert await reached(Access(**where, ca_bundle=bundle))
        assert await reached(Access(**where, verify_ssl=False))


async def test_a_profile_that_is_not_there() -> None:
    """It is named when the client opens."""
    with pytest.raises(aioecs.ConfigurationError, match="nobody"):
        async with aioecs.Client(**Access(profile="nobody").client_options()):
            pass
