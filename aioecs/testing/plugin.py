"""A pytest plugin: fixtures for a local ECS, a client of it, and environment variables that point to it.

Enable it with one line in the `conftest.py` beside pytest's configuration::

    pytest_plugins = ["aioecs.testing.plugin"]

or in pytest's configuration, with `addopts = ["-p", "aioecs.testing.plugin"]`. It is not an entry point, because pytest
would then import aioecs and rewrite the assertions of its modules in every project that has aioecs installed.

========================  =============================================================================================
`local_ecs`               a `ThreadedECS`: an ECS on loopback with three instances and the task definition `demo:1`, on
                          its own thread; it has `truth`, `engine`, `faults` and `clock.advance(seconds)`
`ecs_client`              an open `aioecs.Client` of it, on the test's loop (pytest-asyncio, auto or strict mode); it
                          uses `no_aws_environment` too
`local_ecs_environment`   environment variables that direct every AWS SDK, in this process and its subprocesses, to
                          `local_ecs`
`no_aws_environment`      an environment without the machine's AWS settings, credentials and proxies
========================  =============================================================================================

Two markers configure them: `@pytest.mark.local_ecs(instances=2, faults=[...], visibility_lag=1)` takes the settings of
`LocalECS`, `@pytest.mark.ecs_client(delivery="at_least_once")` those of `aioecs.Client`. The closest marker wins.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from aioecs import Client
from aioecs.testing import ThreadedECS

_MARKERS = (
    "local_ecs(**settings): settings of the fixture local_ecs, as aioecs.testing.LocalECS takes them.",
    "ecs_client(**settings): settings of the fixture ecs_client, as aioecs.Client takes them.",
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


def _settings(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """Merge the settings of a test's markers of this name; the closest marker wins."""
    settings: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(name))):
        if marker.args:
            raise pytest.UsageError(f"@pytest.mark.{name} takes keyword arguments only")
        settings |= marker.kwargs
    return settings


@pytest.fixture
def local_ecs(request: pytest.FixtureRequest) -> Iterator[ThreadedECS]:
    """Serve a local ECS on its own thread, with the settings of the marker `local_ecs`."""
    with ThreadedECS(**_settings(request, "local_ecs")) as local:
        yield local


async def _client(
    request: pytest.FixtureRequest,
    no_aws_environment: None,  # noqa: ARG001 a proxy or profile of the machine would keep the client from loopback
    local_ecs: ThreadedECS,
) -> AsyncIterator[Client]:
    """Open a client of the local ECS on the test's loop, with the settings of the marker `ecs_client`."""
    settings: dict[str, Any] = {**local_ecs.client_kwargs(), **_settings(request, "ecs_client")}
    async with Client(**settings) as client:
        yield client


def _no_client() -> None:
    """Fail the test: pytest-asyncio is not installed."""
    pytest.fail("the fixture ecs_client needs pytest-asyncio: pip install pytest-asyncio", pytrace=False)


ecs_client: Any
if find_spec("pytest_asyncio") is not None:
    import pytest_asyncio

    ecs_client = pytest_asyncio.fixture(_client, name="ecs_client")
else:
    ecs_client = pytest.fixture(_no_client, name="ecs_client")


@pytest.fixture
def no_aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the machine's AWS settings, credentials and proxies during the test."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO_", "BOTOCORE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def local_ecs_environment(
    no_aws_environment: None,  # noqa: ARG001 it must run first
    monkeypatch: pytest.MonkeyPatch,
    local_ecs: ThreadedECS,
) -> None:
    """Direct every AWS SDK without an endpoint of its own to the local ECS during the test."""
    access = local_ecs.client_kwargs()
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", access["endpoint_url"])
    monkeypatch.setenv("AWS_REGION", access["region_name"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", access["region_name"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access["aws_access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", access["aws_secret_access_key"])
