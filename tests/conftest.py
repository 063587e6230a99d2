"""What the tests share: a machine without AWS settings, a local ECS, and a client of it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore import handlers

import aioecs
from aioecs.testing import LocalECS

pytest.register_assert_rewrite("ledger_world")  # it has tests, for each ledger to inherit


def pytest_configure() -> None:
    """Let Ctrl-C interrupt: under nohup and some CI SIGINT is ignored, also in the processes that tests begin."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep one of botocore's certificate authorities: to load all of them takes longer than most tests."""
    end = "-----END CERTIFICATE-----\n"
    all_of_them = (Path(botocore.__file__).parent / "cacert.pem").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    path.write_text(all_of_them.partition(end)[0] + end, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def no_aws_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, one_authority: Path) -> None:
    """Hide the machine's own AWS settings, its credentials and its proxies: no test depends on them."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO_", "BOTOCORE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(one_authority))


@pytest.fixture(autouse=True)
def no_mocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep moto's handler out of botocore: moto puts it among the built-in ones as soon as it is imported.

    Its server is all that is used here, and a client with somebody else's handler uses the botocore transport.
    """
    ours = [spec for spec in handlers.BUILTIN_HANDLERS if type(spec[1]).__module__.partition(".")[0] != "moto"]
    monkeypatch.setattr(handlers, "BUILTIN_HANDLERS", ours)


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
