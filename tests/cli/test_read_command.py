"""How commands that only read are run."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta, timezone

import pytest

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._display.streams import Streams
from aioecs.cli._read_command import iso_time, print_failures, run_with_client
from aioecs.testing import LocalECS

KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have some credentials, and a Region."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


async def test_interrupted(local: LocalECS) -> None:
    """Ctrl-C ends the command with its own status."""
    running = asyncio.Event()

    async def command(_: aioecs.Client) -> int:
        running.set()
        await asyncio.Event().wait()
        return 0

    ended = asyncio.create_task(run_with_client(Access(endpoint_url=local.endpoint_url), Streams(), command))
    await running.wait()
    os.kill(os.getpid(), signal.SIGINT)
    assert await ended == 130


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (aioecs.ClusterNotFoundException("Cluster not found."), 2),
        (aioecs.ThrottlingException("Rate exceeded"), 1),
        (aioecs.ConfigurationError("no such thing"), 2),
    ],
)
async def test_an_error(
    error: aioecs.ECSError, status: int, local: LocalECS, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what went wrong; the status, whether another try may help."""

    async def command(_: aioecs.Client) -> int:
        raise error

    assert await run_with_client(Access(endpoint_url=local.endpoint_url), Streams(), command) == status
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("aioecs: ")


def test_failures(capsys: pytest.CaptureFixture[str]) -> None:
    """What ECS could not describe is named, with the reason, and it is no success."""
    assert print_failures(Streams(), []) == 0
    assert print_failures(Streams(), [aioecs.Failure(arn="a/b/c", reason="MISSING", detail="gone")]) == 1
    assert capsys.readouterr().err == "aioecs: c: MISSING (gone)\n"


def test_moments() -> None:
    """Times are in UTC, wherever they came from."""
    assert iso_time(None) is None
    assert iso_time(datetime(2026, 1, 2, 3, 4, 5, 600, UTC)) == "2026-01-02T03:04:05Z"
    assert iso_time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-02T01:04:05Z"
