"""Runs a command that only reads: opens a client, handles Ctrl-C and errors."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio

from aioecs import CancelToken, Client, ECSError, Failure
from aioecs._model.arn import short
from aioecs.cli._access import Access
from aioecs.cli._display.start_counts import is_final, text_of
from aioecs.cli._display.status import CANNOT, DONE, INTERRUPTED, PARTLY
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.cli._signals import interrupts


async def run_with_client(
    access: Access, streams: Streams, command: Callable[[Client], Awaitable[int]], **settings: Any
) -> int:
    """Run a command with a client and return its exit status; SIGINT or SIGTERM ends it and leaves nothing behind.

    The client is made as `access` says, unless `settings` are given.
    """
    token = CancelToken()
    with streams.logging(), interrupts(token, lambda: os._exit(INTERRUPTED)), anyio.CancelScope() as scope:
        token.add_callback(lambda _: scope.cancel())  # the handler runs on this loop
        try:
            async with Client(**settings or access.client_options()) as client:
                status = await command(client)
            await streams.drained()
            return streams.status(status)
        except (ECSError, UsageError) as error:
            streams.print_error(text_of(error) if isinstance(error, ECSError) else str(error))
            return CANNOT if is_final(error) else PARTLY
    streams.discard()
    return INTERRUPTED


def print_failures(streams: Streams, failures: Sequence[Failure]) -> int:
    """Print what could not be described, and return the exit status."""
    for failure in failures:
        more = f" ({failure.detail})" if failure.detail else ""
        streams.print_error(f"{short(failure.arn or '')}: {failure.reason}{more}")
    return PARTLY if failures else DONE


def iso_time(at: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC, to the second; None stays None."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
