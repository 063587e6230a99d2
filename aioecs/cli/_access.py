"""Options that say where ECS is and how to reach it, named as in the AWS CLI, on every command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from aioecs.cli._option_groups import with_group

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

    from aioecs import Timeouts

ACCESS = "Access, as in the AWS CLI"


@attrs.frozen(kw_only=True)
class Access:
    """Where ECS is, and how to reach it; None leaves it to the environment and the AWS configuration."""

    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    verify_ssl: bool = True
    ca_bundle: Path | None = None
    connect_timeout: int | None = None
    """Time to connect, in seconds."""
    read_timeout: int | None = None
    """Time to wait for an answer, in seconds."""

    def client_options(self) -> dict[str, Any]:
        """Return what a `Client` is made with."""
        return {
            "region_name": self.region,
            "endpoint_url": self.endpoint_url,
            "session": self._session(),
            "timeouts": self.timeouts,
        }

    @property
    def arguments(self) -> list[str]:
        """The options for another command to reach the same ECS."""
        options = {"--endpoint-url": self.endpoint_url, "--region": self.region, "--profile": self.profile}
        return [part for option, value in options.items() if value is not None for part in (option, value)]

    def _session(self) -> AioSession:
        from aiobotocore.session import AioSession  # likewise slow

        session = AioSession(profile=self.profile)
        # botocore keeps both under this name: the file to check certificates with, or that none is checked.
        if not self.verify_ssl:
            session.set_config_variable("ca_bundle", False)
        elif self.ca_bundle is not None:
            session.set_config_variable("ca_bundle", str(self.ca_bundle))
        return session

    @property
    def timeouts(self) -> Timeouts:
        """The client's timeouts; a call has time for at least one attempt."""
        from aioecs import Timeouts  # a slow import, which help doesn't need

        usual = Timeouts()
        connect = usual.connect if self.connect_timeout is None else self.connect_timeout
        attempt = usual.attempt if self.read_timeout is None else self.read_timeout
        return attrs.evolve(usual, connect=connect, attempt=attempt, call=max(usual.call, connect + attempt))


def profiles(incomplete: str) -> list[str]:
    """Return the profiles that begin so, for a shell that completes."""
    from aiobotocore.session import AioSession

    return [name for name in AioSession().available_profiles if name.startswith(incomplete)]


def _options(
    *,
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="AWS Region.", rich_help_panel=ACCESS)
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Profile of the AWS configuration, for credentials and settings.",
            autocompletion=profiles,
            rich_help_panel=ACCESS,
        ),
    ] = None,
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            "--endpoint-url",
            metavar="URL",
            help="Endpoint to use in place of the Region's own.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    no_verify_ssl: Annotated[
        bool, typer.Option("--no-verify-ssl", help="Do not check TLS certificates.", rich_help_panel=ACCESS)
    ] = False,
    ca_bundle: Annotated[
        Path | None,
        typer.Option(
            "--ca-bundle",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="File of certificates to check TLS with, as PEM.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    cli_connect_timeout: Annotated[
        int | None,
        typer.Option(
            "--cli-connect-timeout",
            metavar="SECONDS",
            min=1,
            help="How long a connection may take; by default 3.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    cli_read_timeout: Annotated[
        int | None,
        typer.Option(
            "--cli-read-timeout",
            metavar="SECONDS",
            min=1,
            help="How long an answer may take; by default 15.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
) -> Access:
    return Access(
        region=region,
        profile=profile,
        endpoint_url=endpoint_url,
        verify_ssl=not no_verify_ssl,
        ca_bundle=ca_bundle,
        connect_timeout=cli_connect_timeout,
        read_timeout=cli_read_timeout,
    )


with_access = with_group(_options, "access")
"""Adds the access options to a command, which gets them as one value, its parameter `access`."""
