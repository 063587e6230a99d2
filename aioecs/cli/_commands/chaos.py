"""The command `aioecs chaos`: a proxy with scripted faults in front of an endpoint of ECS, until it is interrupted."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from aioecs import CancelToken
from aioecs.cli._commands.local import read_faults
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import HOW, OUTPUT, WHERE, AllowHost, AsJson, Faults, Host, Port, UsageError
from aioecs.cli._signals import interrupts

if TYPE_CHECKING:
    from aioecs.testing import FaultProxy

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
        "upstream_tls": _tls(ca_bundle),
        "seed": seed,
    }
    return asyncio.run(serve(upstream, settings, Streams(), truth=truth, as_json=as_json))


def _tls(bundle: Path | None) -> ssl.SSLContext | None:
    """Return how certificates are checked, None for as usual.

    Raises:
        UsageError: the file has no certificates.
    """
    if bundle is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(bundle))
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"--ca-bundle: {bundle} has no certificates") from error


async def serve(
    upstream: str,
    settings: dict[str, Any],
    streams: Streams,
    *,
    truth: Path | None = None,
    as_json: bool = False,
    end: Callable[[int], object] = os._exit,
) -> int:
    """Serve a fault proxy until SIGINT or SIGTERM; the second of them ends the process.

    Raises:
        UsageError: it can't work so: the URL is no endpoint, the port is in use, there are no credentials, or the
            record can't be written.
    """
    from aioecs.testing import FaultProxy, FaultProxyError

    token = CancelToken()
    with interrupts(token, lambda: end(0)):
        try:
            async with FaultProxy(upstream, **settings) as proxy:
                if truth is not None:
                    _write(truth, "", "a")  # before anything happens that is to be in it
                if as_json:
                    streams.write(as_line(proxy))
                else:
                    streams.say(*announcement(proxy))
                await token.wait()
            _report(proxy, streams, truth, as_json=as_json)
        except OSError as error:
            raise UsageError(error.strerror or str(error)) from error
        except (ValueError, FaultProxyError) as error:
            raise UsageError(str(error)) from error
    return 0


def _report(proxy: FaultProxy, streams: Streams, file: Path | None, *, as_json: bool) -> None:
    """Write the summary of the record, and the record to the file."""
    record = proxy.truth.as_json()
    if as_json:
        streams.write(json.dumps(summary(record)))
    else:
        streams.say(*as_lines(summary(record)))
    if file is not None:
        _write(file, json.dumps(record, indent=1) + "\n", "w")


def _write(file: Path, text: str, mode: str) -> None:
    """Write the record, or with no text check that it can be written.

    Raises:
        UsageError: it can't be.
    """
    try:
        with file.open(mode, encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(f"--truth: {file}: {error.strerror or error}") from error


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a record: requests, faults, tasks and duplicates."""
    calls: list[dict[str, Any]] = record["calls"]
    return {
        "requests": record["requests"],
        "faults": sum(call["fault"] is not None for call in calls),
        "tasks": len(record["tasks"]),
        "running": sum(task["desired_status"] == "RUNNING" for task in record["tasks"]),
        "duplicates": record["duplicates"],
    }


def as_lines(numbers: dict[str, Any]) -> list[Text]:
    """Return the lines of a summary."""
    requests = ", ".join(f"{count} {name}" for name, count in sorted(numbers["requests"].items())) or "none"
    return [
        Text(f"Requests: {requests}. Starts and stops hit by a fault: {numbers['faults']}."),
        Text(f"Tasks in the endpoint's answers: {numbers['tasks']}, of which {numbers['running']} were not stopped."),
        *(
            Text(f"Duplicate: {len(each['tasks'])} tasks of {each['token']}, {each['asked']} requested", "bold red")
            for each in numbers["duplicates"]
        ),
    ]


def as_line(proxy: FaultProxy) -> str:
    """Return where it is, and how it is used, as a line of JSON."""
    return json.dumps({**proxy.client_kwargs(), "upstream": proxy.upstream, "signs": proxy.signs})


def announcement(proxy: FaultProxy) -> list[Text]:
    """Say where it is, and how it is used."""
    given = proxy.client_kwargs()
    url, region = given["endpoint_url"], given["region_name"]
    signed = "signs with your credentials" if proxy.signs else "passes the client's signature on"
    return [
        Text.assemble("The fault proxy is up: ", (url, "bold green")),
        Text(f"for {proxy.upstream}; it {signed}", "dim"),
        Text(""),
        Text(
            f"  export AWS_ENDPOINT_URL_ECS={url} AWS_REGION={region} AWS_DEFAULT_REGION={region} "
            f"AWS_ACCESS_KEY_ID={given['aws_access_key_id']} "
            f"AWS_SECRET_ACCESS_KEY={given['aws_secret_access_key']} AWS_SESSION_TOKEN=",
            no_wrap=True,
        ),
        Text(f'  curl -H "X-Aioecs-Admin: 1" {url}/_aioecs/truth', no_wrap=True),
        Text("Ctrl-C ends it, and prints what really happened."),
    ]
