"""Serves a local ECS until a signal, and says where it is and how it is used."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import attrs
from rich.text import Text

from aioecs import CancelToken
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.cli._signals import interrupts


@attrs.frozen(kw_only=True)
class Served:
    """Where and what the local ECS is."""

    endpoint_url: str
    region: str
    cluster: str
    instances: tuple[str, ...]
    fargate: bool = False


async def serve(
    settings: dict[str, Any], streams: Streams, *, as_json: bool = False, end: Callable[[int], object] = os._exit
) -> int:
    """Serve a local ECS with these settings until SIGINT or SIGTERM; the second of them ends the process.

    Raises:
        UsageError: it can't be had so: the port is in use, the cluster's name isn't one.
    """
    from aioecs.testing import AwsError, LocalECS

    token = CancelToken()
    with interrupts(token, lambda: end(0)):
        try:
            async with LocalECS(**settings) as local:
                served = Served(
                    endpoint_url=local.endpoint_url,
                    region=settings["region"],
                    cluster=settings["cluster"],
                    instances=tuple(local.instance_arns),
                    fargate=settings.get("fargate", False),
                )
                if as_json:
                    streams.write(as_line(served))
                else:
                    streams.say(*announcement(served))
                await token.wait()
                if streams.shows_progress(as_json=as_json):
                    streams.print_note(Text(""))  # a terminal has written ^C, and the prompt comes next
        except OSError as error:
            raise UsageError(error.strerror or str(error)) from error
        except AwsError as error:
            raise UsageError(str(error)) from error
    return 0


def as_line(served: Served) -> str:
    """Return where it is as a line of JSON."""
    return json.dumps(attrs.asdict(served, filter=attrs.filters.exclude("fargate")))


def announcement(served: Served) -> list[Text]:
    """Return lines about where it is, and how it is used."""
    url = served.endpoint_url
    where = f"--endpoint-url {url} --region {served.region}"
    many = len(served.instances)
    run = (
        f"aws ecs run-task --cluster {served.cluster} --task-definition demo --network-configuration "
        f"'awsvpcConfiguration={{subnets=[subnet-1]}}' {where}"
        if served.fargate
        else f"aioecs start --cluster {served.cluster} --task-definition demo --all-instances --count 10 {where}"
    )
    return [
        Text.assemble("The local ECS is up: ", (url, "bold green")),
        Text(
            f"cluster {served.cluster}, {many} container instance{'' if many == 1 else 's'}, task definition demo:1, "
            f"Region {served.region}",
            "dim",
        ),
        Text(""),
        Text("For any AWS SDK or the AWS CLI, which need some credentials, whatever they are:"),
        Text(
            f"export AWS_ENDPOINT_URL_ECS={url} AWS_REGION={served.region} AWS_DEFAULT_REGION={served.region} "
            "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local",
            no_wrap=True,
        ),
        Text(f"aws ecs list-container-instances --cluster {served.cluster} {where}", no_wrap=True),
        Text(run, no_wrap=True),
        Text("Ctrl-C ends it."),
    ]
