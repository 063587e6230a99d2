"""service_models: the loaders return what botocore's own loader returns, without blocking other threads."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import botocore
import pytest
from aiobotocore.session import AioSession
from botocore.exceptions import UnknownServiceError
from botocore.loaders import JSONFileLoader, Loader

from aioecs._transport import transport_factory
from aioecs._transport.botocore.service_models import (
    ChunkedModelLoader,
    LazyServices,
    TrimmedModelLoader,
    chunked_loading,
    parse_endpoints,
    trimmed_loader,
)
from aioecs._transport.settings import Settings

DATA = Path(botocore.__file__).parent / "data"
ECS = "ecs/2014-11-13"
NAMES = [
    "endpoints",
    "partitions",
    "sdk-default-configuration",
    "_retry",
    f"{ECS}/service-2",
    f"{ECS}/endpoint-rule-set-1",
    "sts/2011-06-15/service-2",
]


def in_order(read: Any) -> Any:
    """Return the same with each object as a list of pairs, so that a comparison includes the order."""
    if isinstance(read, list):
        return [in_order(each) for each in read]
    return [(name, in_order(held)) for name, held in read.items()] if hasattr(read, "items") else read


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("files", [ChunkedModelLoader(), TrimmedModelLoader()], ids=["gentle", "lean"])
def test_botocore_s_own_files(files: Any, name: str) -> None:
    """The data equals what botocore's own loader returns, including the order of members."""
    own, read = JSONFileLoader().load_file(str(DATA / name)), files.load_file(str(DATA / name))
    assert own is not None
    assert read == own
    assert own == read
    assert in_order(read) == in_order(own)
    assert files.exists(str(DATA / name))


def test_types() -> None:
    """ChunkedModelLoader has botocore's types; TrimmedModelLoader has plain dicts."""
    name = str(DATA / ECS / "endpoint-rule-set-1")
    assert type(ChunkedModelLoader().load_file(name)["parameters"]) is OrderedDict
    assert type(TrimmedModelLoader().load_file(name)["parameters"]) is dict


@pytest.mark.parametrize(
    "files", [JSONFileLoader(), ChunkedModelLoader(), TrimmedModelLoader()], ids=["botocore", "gentle", "lean"]
)
def test_which_file_is_loaded(files: Any, tmp_path: Path) -> None:
    """As in botocore, an uncompressed file precedes a compressed one, `null` is no data, and a missing file is None."""
    name = str(tmp_path / "model")
    assert files.load_file(name) is None
    (tmp_path / "model.json.gz").write_bytes(gzip.compress('{"from": "gz\u00fc"}'.encode()))
    assert files.load_file(name) == {"from": "gz\u00fc"}
    (tmp_path / "model.json").write_text("null")
    assert files.load_file(name) == {"from": "gz\u00fc"}
    (tmp_path / "model.json").write_text('{"from": "plain"}')
    assert files.load_file(name) == {"from": "plain"}
    (tmp_path / "model.json").write_text('{"from": ')
    with pytest.raises(ValueError, match="Expecting value"):
        files.load_file(name)


# ------------------------------------------------------------------------------------------------------- endpoints


def test_services_are_parsed_on_access() -> None:
    """A service is parsed once, when it is accessed, so that what botocore writes into it stays."""
    read = parse_endpoints('{"partitions": [{"services": {"ecs": {"endpoints": {"r": {}}}, "s3": {"endpoints": {}}}}]}')
    services = read["partitions"][0]["services"]
    assert isinstance(services, LazyServices)
    services["ecs"]["endpoints"]["r"]["hostname"] = "here"
    assert services.get("ecs") == {"endpoints": {"r": {"hostname": "here"}}}
    assert list(services) == ["ecs", "s3"]
    assert services.get("sts", "none") == "none"
    assert "sts" not in services


NESTED = {"partitions": [{"services": {"services": {"services": {"a": 1}}, "b": {"services": {}}}, "partition": "p"}]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(NESTED),
        json.dumps(NESTED, indent=2, separators=(" ,", " : ")),
        json.dumps(NESTED, indent=2).replace("\n", "\r\n\t"),
        json.dumps({"partitions": [{"services": {"a": 'x"services": {"}'}}, {"services": {"é\n": {}, "b": {}}}]}),
        '{"partitions": [{"services": {"a": {"x": 1}, "a": {"x": 2}}}]}',  # the last one counts
        '{"partitions": [{"services": {}}]}',
        '{"partitions": [{"partition": "p"}, {"services": {"a": {}}}]}',
        '{"partitions": [{"services": {"a": {}}}], "services": {"b": {}}}',
        '{"services": {"b": {}}, "partitions": [{"services": {"a": {}}}]}',
        '{"partitions": [{"services": {"a": {}}, "more": {"services": {"b": {}}}}]}',
        '{"partitions": [{"services": null}, {"services": []}, {"services": 0}]}',
        '{"partitions": {"services": {"a": {}}}}',
        '{"partitions": ["services"]}',
        '{"partitions": null}',
        '{"partitions": []}',
        '{"version": 3}',
        '[{"services": {"a": {}}}]',
        "3",
    ],
)
def test_any_layout(text: str) -> None:
    """A file with another layout is parsed, too."""
    assert in_order(parse_endpoints(text)) == in_order(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"partitions": [{"services": {"a": {}',
        '{"partitions": [{"services": {"a": {},}}]}',
        '{"partitions": [{"services": {"a": {} "b": {}}}]}',
        '{"partitions": [{"services": {"a": nothing}}]}',
        '{"partitions": [{"services": {"a": {}}}]} more',
    ],
)
def test_malformed_json(text: str) -> None:
    """A broken file raises the same error as in botocore."""
    with pytest.raises(ValueError) as ours:  # noqa: PT011 it is compared below
        parse_endpoints(text)
    with pytest.raises(ValueError) as theirs:  # noqa: PT011
        json.loads(text)
    assert str(ours.value) == str(theirs.value)


# -------------------------------------------------------------------------------------------------------- other threads


@pytest.fixture
def short_switch_interval() -> Generator[None]:
    """Let threads switch as often as they can."""
    patience = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(patience)


@pytest.mark.usefixtures("short_switch_interval")
@pytest.mark.parametrize(
    "parse",
    [
        parse_endpoints,
        lambda text: TrimmedModelLoader()._parsed(Path("service-2.json"), text),
        lambda text: ChunkedModelLoader()._parsed(Path("service-2.json"), text),
    ],
    ids=["endpoints", "lean", "gentle"],
)
def test_other_threads_run_meanwhile(parse: Callable[[str], Any]) -> None:
    """Another thread runs while a large file is parsed; `json.loads` alone would block it."""
    text = (DATA / "endpoints.json").read_text()
    running, passes = threading.Event(), 0

    def work() -> None:
        running.set()
        for _ in range(5):
            parse(text)
        running.clear()

    thread = threading.Thread(target=work)
    thread.start()
    while running.is_set() or not passes:
        passes += 1
        time.sleep(0)
    thread.join()
    assert passes > 40


# -------------------------------------------------------------------------------------------------------- loaders


def test_the_caller_s_loader_is_restored() -> None:
    """It is changed only within the block, and only if it is botocore's own."""
    loader = Loader()
    files = loader.file_loader
    with pytest.raises(KeyError), chunked_loading(loader):
        assert type(loader.file_loader) is ChunkedModelLoader
        with chunked_loading(loader):  # another client, opened at the same time
            pass
        assert type(loader.file_loader) is ChunkedModelLoader
        raise KeyError
    assert loader.file_loader is files

    class Own(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
        """One that the caller made."""

    theirs = Loader(file_loader=Own())
    with chunked_loading(theirs):
        assert type(theirs.file_loader) is Own
    assert type(trimmed_loader(theirs).file_loader) is Own
    with chunked_loading(object()):
        pass
    assert trimmed_loader(theirs) is theirs


@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1", "no-such-file"])
def test_services_are_listed_only_where_the_list_is_needed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a service exists is found without the list of all; the list is botocore's own."""
    own, loader = Loader(), trimmed_loader(Loader())
    listed = own.list_available_services(kind)
    assert list(loader.list_available_services(kind)) == listed
    assert loader.list_available_services(kind)[:2] == listed[:2]
    monkeypatch.setattr(Loader, "list_available_services", lambda *_: pytest.fail("all services were listed"))
    loader = trimmed_loader(Loader())
    names = ("ecs", "dynamodb", "no-such-service")
    assert [name in loader.list_available_services(kind) for name in names] == [name in listed for name in names]


def test_an_unknown_service_is_refused_as_botocore_does() -> None:
    """The error is botocore's, with the names of the services that there are."""
    errors = []
    for loader in (Loader(), trimmed_loader(Loader())):
        with pytest.raises(UnknownServiceError) as refused:
            loader.load_service_model("no-such-service", "service-2")
        errors.append(str(refused.value))
    assert errors[0] == errors[1]


def test_models_of_the_user_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_DATA_PATH is honored, and precedes botocore's own data."""
    (tmp_path / "partitions.json").write_text('{"partitions": []}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    loader = transport_factory.make_session(Settings(region_name="us-east-1")).get_component("data_loader")
    own = AioSession().get_component("data_loader")
    assert type(loader.file_loader) is TrimmedModelLoader
    assert loader.search_paths == own.search_paths
    assert loader.load_data("partitions") == own.load_data("partitions") == {"partitions": []}
    for name in ("service-2", "endpoint-rule-set-1"):
        assert loader.load_service_model("ecs", name) == own.load_service_model("ecs", name)
