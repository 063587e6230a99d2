"""A pytest plugin: a local ECS, a client on it, and an environment that points to it or to nothing.

Switch it on with one line, in the `conftest.py` beside pytest's configuration::

    pytest_plugins = ["aioecs.testing.plugin"]

or for all who run pytest there, with `addopts = ["-p", "aioecs.testing.plugin"]`. It is no entry point: pytest would
import aioecs, and rewrite the assertions of all its modules, in every run of every project that has it installed.

========================  =============================================================================================
`local_ecs`               a `ThreadedECS`: an ECS on loopback with three instances and the task definition `demo:1`, on
                          a thread of its own; `truth`, `engine`, `faults`, and `clock.advance(seconds)`
`ecs_client`              an open `aioecs.Client` of it, on the test's loop (pytest-asyncio, auto or strict mode); it
                          asks for `no_aws_environment` too
`local_ecs_environment`   the environment variables by which every AWS SDK, in this process and those that it starts,
                          comes to `local_ecs` without being told
`no_aws_environment`      an environment without the machine's own AWS settings, credentials and proxies
========================  =============================================================================================

Two markers say how they are: `@pytest.mark.local_ecs(instances=2, faults=[...], visibility_lag=1)` with the settings of
`LocalECS`, `@pytest.mark.ecs_client(delivery="at_least_once")` with those of `aioecs.Client`. The nearest one wins.
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
    "local_ecs(**settings): how the fixture local_ecs is made; the settings are those of aioecs.testing.LocalECS.",
    "ecs_client(**settings): how the fixture ecs_client is made; the settings are those of aioecs.Client.",
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


def _settings(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """Collect what a test's markers of this name say, those nearest to it last."""
    settings: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(name))):
        if marker.args:
            raise pytest.UsageError(f"@pytest.mark.{name} takes its settings by name")
        settings |= marker.kwargs
    return settings


@pytest.fixture
def local_ecs(request: pytest.FixtureRequest) -> Iterator[ThreadedECS]:
    """Serve a local ECS from a thread of its own, as the marker `local_ecs` says."""
    with ThreadedECS(**_settings(request, "local_ecs")) as local:
        yield local


async def _client(
    request: pytest.FixtureRequest,
    no_aws_environment: None,  # noqa: ARG001 a proxy or a profile of the machine's would keep it from loopback
    local_ecs: ThreadedECS,
) -> AsyncIterator[Client]:
    """Open a client of the local ECS on the test's loop, as the marker `ecs_client` says."""
    settings: dict[str, Any] = {**local_ecs.client_kwargs(), **_settings(request, "ecs_client")}
    async with Client(**settings) as client:
        yield client


def _no_client() -> None:
    """Say what is missing."""
    pytest.fail("the fixture ecs_client needs pytest-asyncio: pip install pytest-asyncio", pytrace=False)


ecs_client: Any
if find_spec("pytest_asyncio") is not None:
    import pytest_asyncio

    ecs_client = pytest_asyncio.fixture(_client, name="ecs_client")
else:
    ecs_client = pytest.fixture(_no_client, name="ecs_client")


@pytest.fixture
def no_aws_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the machine's own AWS settings, credentials and proxies, for as long as the test runs."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO_", "BOTOCORE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def local_ecs_environment(
    no_aws_environment: None,  # noqa: ARG001 it comes first
    monkeypatch: pytest.MonkeyPatch,
    local_ecs: ThreadedECS,
) -> None:
    """Bring every AWS SDK that isn't told otherwise to the local ECS, for as long as the test runs."""
    access = local_ecs.client_kwargs()
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", access["endpoint_url"])
    monkeypatch.setenv("AWS_REGION", access["region_name"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", access["region_name"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access["aws_access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", access["aws_secret_access_key"])
