"""What the tests of the command line share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiobotocore.session import AioSession

from aioecs._logic.tasks import log_cursor, poll_schedule
from aioecs.cli._access import Access

LOADER = AioSession().get_component("data_loader")

MODULE = """
import os
import aioecs
from aioecs.worker import MemoryLedger, Worker

def to_request(message):
    return aioecs.StartTaskRequest(task_definition="demo", container_instances=[], group=message.body)

async def make_worker(ecs):
    return Worker(ecs, os.environ["QUEUE_URL"], to_request, ledger=MemoryLedger(), long_poll=1, drain=2,
                  sqs_endpoint_url=os.environ["SQS_URL"])

def make_none(ecs):
    return "no worker"

number = 7
"""
"""A module of the user's with workers, and with what is none."""


@pytest.fixture(autouse=True)
def shared_data_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands that run in this process share a loader, which parses botocore's data files once."""
    made = Access._session

    def session(access: Access) -> AioSession:
        found = made(access)
        found.register_component("data_loader", LOADER)
        return found

    monkeypatch.setattr(Access, "_session", session)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have some credentials, and a Region."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Restore the level of aioecs's logger, which commands that run in this process set."""
    log = logging.getLogger("aioecs")
    before = log.level
    yield
    log.setLevel(before)


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll tasks and logs ten times a second, so that no test waits long for a poll."""
    monkeypatch.setattr(poll_schedule, "SHORTEST", 0.1)
    monkeypatch.setattr(poll_schedule, "BETWEEN_ROUNDS", 0.1)
    monkeypatch.setattr(log_cursor, "SHORTEST", 0.1)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write a module of the user's into the current directory."""
    (tmp_path / "jobs_of_test.py").write_text(MODULE)
    (tmp_path / "broken_of_test.py").write_text("1 / 0")
    (tmp_path / "lacking_of_test.py").write_text("import no_such_module_of_theirs")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    for name in [name for name in sys.modules if name.endswith("_of_test")]:
        del sys.modules[name]
