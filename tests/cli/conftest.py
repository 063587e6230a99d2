"""What the tests of the command line share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from aiobotocore.session import AioSession

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


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Restore the level of aioecs's logger, which commands that run in this process set."""
    log = logging.getLogger("aioecs")
    before = log.level
    yield
    log.setLevel(before)
