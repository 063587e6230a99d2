"""Fixtures of all tests: an environment without AWS settings, a local ECS, and a client of it."""

from __future__ import annotations

import compileall
import copy
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import botocore
import pytest
from aiobotocore.hooks import AioHierarchicalEmitter
from aiobotocore.session import AioSession
from botocore import handlers
from botocore.hooks import EVENT_ALIASES, EventAliaser
from hypothesis import HealthCheck, settings

import aioecs
from aioecs.testing import LocalECS

pytest.register_assert_rewrite("ledger_rules")  # it has tests, which the tests of each ledger inherit

# A busy machine makes an example slow, which says nothing of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Restore SIGINT, which nohup and some CI systems ignore, also in subprocesses of the tests; cache bytecode."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _cache_bytecode(config)


def _cache_bytecode(config: pytest.Config) -> None:
    """Keep bytecode in pytest's cache where Python may write none beside the sources, also that of subprocesses.

    Compiling the tests, whose assertions pytest rewrites, takes longer than most of them.
    """
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if sys.dont_write_bytecode and cache is not None:
        folder = cache.mkdir("bytecode")
        if not any(folder.iterdir()):
            _link_installed_bytecode(folder)
        sys.dont_write_bytecode, sys.pycache_prefix = False, str(folder)
        compileall.compile_dir(Path(aioecs.__file__).parent, quiet=2)  # once, and not in each process
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _link_installed_bytecode(folder: Path) -> None:
    """Link the bytecode that pip has written beside the installed packages: with a prefix Python ignores it there."""
    specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
    for path in {spec.cached for spec in specs if spec is not None and spec.has_location and spec.cached}:
        if (cached := Path(path)).is_file():
            link = folder / cached.parent.parent.relative_to("/") / cached.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(cached)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let each process of pytest-xdist begin elsewhere, and find the bytecode that the others have compiled."""
    report = yield
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and isinstance(collector, pytest.Directory):
        share = len(report.result) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        first = share * int(worker.removeprefix("gw"))
        report.result = [*report.result[first:], *report.result[:first]]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests into one order in all processes, as pytest-xdist needs."""
    items.sort(key=attrgetter("path"))


def pytest_collection_finish() -> None:
    """Collect garbage less often: what is imported and collected by now stays, and takes long to go through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_sessionfinish() -> None:
    """Collect garbage once more, and leave out what stays where pytest does so twice: that takes a second each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def single_certificate_authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a bundle with one certificate authority, as loading all of botocore's takes longer than most tests."""
    end = "-----END CERTIFICATE-----\n"
    bundle = (Path(botocore.__file__).parent / "cacert.pem").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    path.write_text(bundle.partition(end)[0] + end, encoding="utf-8")
    return path


@pytest.fixture(scope="session", autouse=True)
def no_aws_settings(tmp_path_factory: pytest.TempPathFactory, single_certificate_authority: Path) -> Iterator[None]:
    """Hide the machine's AWS settings, credentials and proxies, so that no test depends on them."""
    empty = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "BOTO_", "BOTOCORE_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", str(empty / "no-config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty / "no-credentials"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CA_BUNDLE", str(single_certificate_authority))
        yield


@pytest.fixture(scope="session", autouse=True)
def sessions_with_copied_handlers() -> Iterator[None]:
    """Copy botocore's built-in handlers into each session, as registering them takes longer than most tests."""
    made, registered = AioSession.__init__, dict[tuple[Any, ...], AioHierarchicalEmitter]()

    def copied() -> AioHierarchicalEmitter:
        builtin = tuple(handlers.BUILTIN_HANDLERS)
        if builtin not in registered:
            registered[builtin] = emitter = AioHierarchicalEmitter()
            made(AioSession.__new__(AioSession), event_hooks=emitter)
        return copy.copy(registered[builtin])

    def make(session: AioSession, *args: Any, **settings: Any) -> None:
        if not args and not settings.keys() - {"profile"}:
            settings |= {"event_hooks": copied(), "include_builtin_handlers": False}
        made(session, *args, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AioSession, "__init__", make)
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_event_aliases() -> Iterator[None]:
    """Share between all clients what botocore works out of the names of events: each would do that anew."""
    made, known = EventAliaser.__init__, dict[str, str]()

    def make(aliaser: EventAliaser, emitter: Any, aliases: dict[str, str] | None = None) -> None:
        made(aliaser, emitter, aliases)
        if aliaser._event_aliases == EVENT_ALIASES:
            aliaser._alias_name_cache = known

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventAliaser, "__init__", make)
        yield


@pytest.fixture(autouse=True)
def no_mocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove moto's handler from botocore, which moto adds to the built-in ones when it is imported.

    The tests use only moto's server, and a client with an unknown handler uses the botocore transport.
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
