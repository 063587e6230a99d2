"""A local ECS for threads, and a blocking client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threaded_ecs import access, local_ecs_on_thread

import aioecs
import aioecs.sync
from aioecs._logic.tasks import log_cursor, poll_schedule
from aioecs.testing import LocalECS


@pytest.fixture
def there() -> Iterator[LocalECS]:
    """Serve a local ECS to threads."""
    with local_ecs_on_thread(instances=3) as local:
        yield local


@pytest.fixture
def ecs(there: LocalECS) -> Iterator[aioecs.sync.Client]:
    """Open a blocking client of it."""
    with aioecs.sync.Client(**access(there)) as client:
        yield client


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll tasks and logs ten times a second, so that no test waits long for a poll."""
    monkeypatch.setattr(poll_schedule, "SHORTEST", 0.1)
    monkeypatch.setattr(poll_schedule, "BETWEEN_ROUNDS", 0.1)
    monkeypatch.setattr(log_cursor, "SHORTEST", 0.1)
