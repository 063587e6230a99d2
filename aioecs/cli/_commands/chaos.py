"""The command `aioecs chaos`: a proxy with scripted faults in front of an endpoint of ECS, until it is interrupted."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from aioecs.cli._options import HOW, OUTPUT, WHERE, AllowHost, AsJson, Faults, Host, Port, UsageError

HELP = """
Put scripted faults between any AWS SDK and an endpoint of ECS, until Ctrl-C.

It passes each request on once. A fault "before" keeps a request from the endpoint. One "after" comes when it \
has answered, so tasks run that the client does not know. At the end it reports the tasks and the duplicates among them.

[bold]Examples[/]

In front of a local ECS, with a file of one fault a line, as JSON:

  aioecs chaos --faults storm.jsonl \\
    --upstream http://127.0.0.1:8080

  {"kind": "reset", "operation": "StartTask", "when": "after", "chance": 0.2, "times": null}

  {"kind": "error", "operation": "*", "status": 503, "chance": 0.05, "times": null}

In front of a real endpoint, with your own credentials. Clients use the access key id that it prints:

  aioecs chaos --profile test --faults storm.jsonl \\
    --upstream https://ecs.eu-west-1.amazonaws.com

With the whole record in a file at the end:

  aioecs chaos --truth truth.json \\
    --upstream http://127.0.0.1:8080
"""


class Signature(StrEnum):
    """Whose signature the endpoint gets; the names are those of `FaultProxy(sign=)`."""

    CLIENT = "client"
    OWN = "own"


def chaos(
    upstream: Annotated[
        str | None,
        typer.Option("--upstream", metavar="URL", help="The endpoint of ECS behind it.", rich_help_panel=WHERE),
    ] = None,
    faults: Faults = None,
    port: Port = 0,
    host: Host = "127.0.0.1",
    allow_host: AllowHost = None,
    sign: Annotated[
        Signature | None,
        typer.Option(
            "--sign",
            help="Pass the client's signature on, or sign with your own credentials; by default own for https.",
            rich_help_panel=HOW,
            show_default=False,
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            "--region", metavar="REGION", help="Region to sign for; by default the client's.", rich_help_panel=HOW
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Profile of the AWS configuration, for the credentials to sign with.",
            rich_help_panel=HOW,
        ),
    ] = None,
    ca_bundle: Annotated[
        Path | None,
        typer.Option(
            "--ca-bundle",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="Certificates to check the endpoint's with, as PEM.",
            rich_help_panel=HOW,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="For the chance of faults.", rich_help_panel=HOW)
    ] = 0,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", metavar="FILE", help="File for the record at the end.", rich_help_panel=OUTPUT),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Serve until a signal, and return the exit status; `HELP` is what the user reads."""
    # Imported here: help needs none of it.
    import asyncio

    from aioecs.cli._display.streams import Streams
    from aioecs.cli._serving.given_files import read_faults
    from aioecs.cli._serving.proxy_server import certificates, serve

    if upstream is None:
        raise UsageError("--upstream is missing: the URL of an endpoint of ECS")
    settings: dict[str, Any] = {
        "faults": [] if faults is None else read_faults(faults),
        "port": port,
        "host": host,
        "hosts": allow_host or (),
        "sign": None if sign is None else sign.value,
        "region": region,
        "profile": profile,
        "upstream_tls": certificates(ca_bundle),
        "seed": seed,
    }
    return asyncio.run(serve(upstream, settings, Streams(), truth=truth, as_json=as_json))
