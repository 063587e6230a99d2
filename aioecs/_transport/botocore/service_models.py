"""botocore's data files, read so that the loop gets its turns meanwhile, and no more of them than is asked for.

botocore's own reader parses a file in one call into C, which keeps the interpreter to itself up to the last byte: the
loop stands still, whatever thread reads. Here a function in Python makes each object, and between two of those the
interpreter may change threads. What comes out is equal to what botocore reads.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader

_OPENERS: dict[str, Callable[..., Any]] = {".json": open, ".json.gz": gzip.open}


class ChunkedModelLoader(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    """Reads what botocore's own reader reads, into the same types, and lets others run meanwhile."""

    def load_file(self, file_path: str) -> Any:
        """Read the file of this name, which is without its `.json` or `.json.gz`; None if there is none."""
        for ending, opening in _OPENERS.items():
            path = Path(file_path + ending)
            if path.is_file():
                with opening(path, "rb") as file:
                    data = self._parsed(path, file.read().decode())
                if data is not None:
                    return data
        return None

    def _parsed(self, path: Path, text: str) -> Any:  # noqa: ARG002 which an heir looks at
        return json.loads(text, object_pairs_hook=_as_ordered_dict)


class TrimmedModelLoader(ChunkedModelLoader):
    """Reads into plain dicts, and of the endpoints of all AWS those alone that somebody asks for.

    They are a quarter of all the objects in a process with one ECS client, and whenever the garbage collector looks at
    all of them the loop stands still.
    """

    def _parsed(self, path: Path, text: str) -> Any:
        return parse_endpoints(text) if path.name.startswith("endpoints.") else _parse_all(text)


def use_trimmed_loader(loader: Any) -> Any:
    """Return the loader; from now on it reads leanly, if it is botocore's own."""
    if _is_stock(loader):
        loader.file_loader = TrimmedModelLoader()
    return loader


@contextmanager
def chunked_loading(loader: Any) -> Generator[None]:
    """Let somebody else's loader read gently in this block, if it is botocore's own; it is left as it was."""
    if not _is_stock(loader):
        yield
        return
    own, loader.file_loader = loader.file_loader, ChunkedModelLoader()
    try:
        yield
    finally:
        loader.file_loader = own


def _is_stock(loader: Any) -> bool:
    return type(loader) is Loader and type(loader.file_loader) is JSONFileLoader


def _as_ordered_dict(pairs: list[tuple[str, Any]]) -> OrderedDict[str, Any]:
    return OrderedDict(pairs)


def _as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs)


def _parse_all(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_as_dict)


class LazyServices(Mapping[str, Any]):
    """A partition's services, each parsed when it is first asked for."""

    def __init__(self, texts: dict[str, str]) -> None:
        """Take the JSON of each."""
        self._texts = texts
        self._parsed: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._parsed:
            self._parsed.setdefault(name, _parse_all(self._texts[name]))  # another thread's, if it was quicker
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


_SERVICES = re.compile(r'"services"\s*:\s*{')  # not in a string: its quotes would have a backslash before them
_NAMED = re.compile(r'\s*"([^"\\]*)"\s*:\s*')
_AFTER = re.compile(r"\s*([,}])")


def parse_endpoints(text: str) -> Any:
    """Parse an endpoints file; the services of its partitions stay text until they are asked for.

    A file that isn't laid out as botocore's is parsed as a whole, and so refused if it is no JSON.
    """
    try:
        return _parse_lazily(text)
    except ValueError:
        return _parse_all(text)


def _parse_lazily(text: str) -> Any:
    found: list[dict[str, str]] = []
    rest, at = "", 0
    while opening := _SERVICES.search(text, at):
        texts, end = _skip_object(text, opening.end())
        rest += f'{text[at : opening.start()]}"services":"{_placeholder(len(found))}"'
        found.append(texts)
        at = end
    data = _parse_all(rest + text[at:])
    partitions = data.get("partitions") if isinstance(data, dict) else None
    if not isinstance(partitions, list) or not all(isinstance(each, dict) for each in partitions):
        raise ValueError("no partitions")
    if [each.get("services") for each in partitions] != [_placeholder(number) for number in range(len(found))]:
        raise ValueError("something else is called services")
    for partition, texts in zip(partitions, found, strict=True):
        partition["services"] = LazyServices(texts)
    return data


def _placeholder(number: int) -> str:
    return f"what is stepped over, {number}"


def _skip_object(text: str, at: int) -> tuple[dict[str, str], int]:
    """Return the text of each member of the object that begins before `at`, and where it ends."""
    members: dict[str, str] = {}
    decoder = json.JSONDecoder()
    while named := _NAMED.match(text, at):
        _, at = decoder.raw_decode(text, named.end())
        members[named[1]] = text[named.end() : at]
        after = _AFTER.match(text, at)
        if after is None:
            break
        at = after.end()
        if after[1] == "}":
            return members, at
    raise ValueError("an odd object")
