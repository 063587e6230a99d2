"""service_models: botocore's data files are read as botocore reads them, with turns for others, and no more."""

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
from botocore.loaders import JSONFileLoader, Loader

from aioecs._transport import transport_factory
from aioecs._transport.botocore.service_models import (
    ChunkedModelLoader,
    LazyServices,
    TrimmedModelLoader,
    chunked_loading,
    parse_endpoints,
    use_trimmed_loader,
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
    """Return the same with each object as its pairs, so that their order counts."""
    if isinstance(read, list):
        return [in_order(each) for each in read]
    return [(name, in_order(held)) for name, held in read.items()] if hasattr(read, "items") else read


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("files", [ChunkedModelLoader(), TrimmedModelLoader()], ids=["gentle", "lean"])
def test_botocores_own_files(files: Any, name: str) -> None:
    """What is read of botocore's data is what its own reader reads, member by member and in their order."""
    own, read = JSONFileLoader().load_file(str(DATA / name)), files.load_file(str(DATA / name))
    assert own is not None
    assert read == own
    assert own == read
    assert in_order(read) == in_order(own)
    assert files.exists(str(DATA / name))


def test_types() -> None:
    """For another's loader the types are botocore's too; one of our own has plain dicts."""
    name = str(DATA / ECS / "endpoint-rule-set-1")
    assert type(ChunkedModelLoader().load_file(name)["parameters"]) is OrderedDict
    assert type(TrimmedModelLoader().load_file(name)["parameters"]) is dict


@pytest.mark.parametrize(
    "files", [JSONFileLoader(), ChunkedModelLoader(), TrimmedModelLoader()], ids=["botocore", "gentle", "lean"]
)
def test_which_file(files: Any, tmp_path: Path) -> None:
    """A plain file goes before a compressed one, `null` is no data, and what isn't there is None: as in botocore."""
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


def test_what_nobody_asks_for_stays_text() -> None:
    """A service is parsed when it is asked for; once, so that what botocore writes into it stays."""
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
def test_whatever_the_layout(text: str) -> None:
    """A file that is laid out otherwise is read no less."""
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
def test_what_is_no_json(text: str) -> None:
    """A broken file is refused as botocore refuses it."""
    with pytest.raises(ValueError) as ours:  # noqa: PT011 it is compared below
        parse_endpoints(text)
    with pytest.raises(ValueError) as theirs:  # noqa: PT011
        json.loads(text)
    assert str(ours.value) == str(theirs.value)


# --------------------------------------------------------------------------------------------------------- turns


@pytest.fixture
def impatient() -> Generator[None]:
    """Let threads ask for their turn as often as they can."""
    patience = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(patience)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "parse",
    [
        parse_endpoints,
        lambda text: TrimmedModelLoader()._parsed(Path("service-2.json"), text),
        lambda text: ChunkedModelLoader()._parsed(Path("service-2.json"), text),
    ],
    ids=["endpoints", "lean", "gentle"],
)
def test_others_get_their_turns(parse: Callable[[str], Any]) -> None:
    """While a thread parses a large file, another one runs; `json.loads` alone leaves it a turn or two a file."""
    text = (DATA / "endpoints.json").read_text()
    running, turns = threading.Event(), 0

    def work() -> None:
        running.set()
        for _ in range(5):
            parse(text)
        running.clear()

    thread = threading.Thread(target=work)
    thread.start()
    while running.is_set() or not turns:
        turns += 1
        time.sleep(0)
    thread.join()
    assert turns > 40


# -------------------------------------------------------------------------------------------------------- loaders


def test_another_s_loader_is_left_as_it_was() -> None:
    """It reads gently for the length of the block, whatever the block ends by; one that isn't botocore's own never."""
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
    assert type(use_trimmed_loader(theirs).file_loader) is Own
    with chunked_loading(object()):
        pass


def test_models_of_the_user_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_DATA_PATH is honoured, and goes before what botocore ships."""
    (tmp_path / "partitions.json").write_text('{"partitions": []}')
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    loader = transport_factory.make_session(Settings(region_name="us-east-1")).get_component("data_loader")
    own = AioSession().get_component("data_loader")
    assert type(loader.file_loader) is TrimmedModelLoader
    assert loader.search_paths == own.search_paths
    assert loader.load_data("partitions") == own.load_data("partitions") == {"partitions": []}
    for name in ("service-2", "endpoint-rule-set-1"):
        assert loader.load_service_model("ecs", name) == own.load_service_model("ecs", name)
