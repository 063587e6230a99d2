"""A local ECS for threads, and a blocking client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threaded_ecs import access, local_ecs_on_thread

import aioecs
import aioecs.sync
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
