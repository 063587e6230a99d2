"""Serves a fault proxy until a signal, and reports what passed through it."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from aioecs import CancelToken
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.cli._signals import interrupts

if TYPE_CHECKING:
    from aioecs.testing import FaultProxy


def certificates(bundle: Path | None) -> ssl.SSLContext | None:
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
