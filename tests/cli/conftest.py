"""What the tests of the command line share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from aiobotocore.session import AioSession

from aioecs._logic.tasks import log_cursor, poll_schedule
from aioecs.cli._access import Access

LOADER = AioSession().get_component("data_loader")


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
