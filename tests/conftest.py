"""What the tests share: a machine without AWS settings, a local ECS, and a client of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import aioecs
from aioecs.testing import LocalECS


@pytest.fixture(autouse=True)
def no_aws_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the machine's own AWS settings, its credentials and its proxies: no test depends on them."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO_", "BOTOCORE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def local() -> AsyncIterator[LocalECS]:
    """Serve a local ECS: the cluster `default` with three instances, and the task definition `demo:1`."""
    async with LocalECS() as local:
        yield local


@pytest.fixture
async def client(local: LocalECS) -> AsyncIterator[aioecs.Client]:
    """Open a client of the local ECS."""
    access: dict[str, Any] = {**local.client_kwargs()}
    async with aioecs.Client(**access) as client:
        yield client
