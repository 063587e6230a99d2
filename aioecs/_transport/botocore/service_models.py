"""Loads botocore's data files without blocking other threads, and parses large parts of them only on demand.

botocore's own loader parses a file in one C call, which holds the interpreter lock to the end: the event loop stops,
whatever thread loads. Here a Python function builds each object, and the interpreter may switch threads between two of
them. The result equals what botocore loads.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, overload

from botocore.exceptions import DataNotFoundError
from botocore.loaders import JSONFileLoader, Loader

_OPENERS: dict[str, Callable[..., Any]] = {".json": open, ".json.gz": gzip.open}


class ChunkedModelLoader(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    """Loads the same data as botocore's own loader, into the same types, and lets other threads run meanwhile."""

    def load_file(self, file_path: str) -> Any:
        """Load the file with this path plus `.json` or `.json.gz`; return None if there is none."""
        for ending, opening in _OPENERS.items():
            path = Path(file_path + ending)
            if path.is_file():
                with opening(path, "rb") as file:
                    data = self._parsed(path, file.read().decode())
                if data is not None:
                    return data
        return None

    def _parsed(self, path: Path, text: str) -> Any:  # noqa: ARG002 a subclass uses it
        return json.loads(text, object_pairs_hook=_as_ordered_dict)


class TrimmedModelLoader(ChunkedModelLoader):
    """Loads into plain dicts, and parses the endpoints of an AWS service only when they are asked for.

    The endpoints are a quarter of all objects in a process with one ECS client, and a full garbage collection, which
    visits every object, stops the loop.
    """

    def _parsed(self, path: Path, text: str) -> Any:
        return parse_endpoints(text) if path.name.startswith("endpoints.") else _parse_all(text)


class TrimmedLoader(Loader):  # type: ignore[misc]  # botocore has no types
    """botocore's loader with a `TrimmedModelLoader`; it finds one service without reading of all the others.

    Before botocore loads a model it lists all services twice, which reads a thousand folders.
    """

    def __init__(self, loader: Any) -> None:
        """Take the loader whose paths to search."""
        super().__init__(list(loader.search_paths), TrimmedModelLoader(), include_default_search_paths=False)

    def list_available_services(self, type_name: str) -> Any:
        """Return the names of all services that have a file of this type, in order, as `AvailableServices`."""
        return AvailableServices(
            partial(self.determine_latest_version, type_name=type_name),
            partial(super().list_available_services, type_name),
        )


class AvailableServices(Sequence[str]):
    """The names of services: they are listed only where more is asked than whether one of them is there."""

    def __init__(self, find: Callable[[str], object], list_all: Callable[[], list[str]]) -> None:
        """Take a function that raises DataNotFoundError where there is no such service, and one that lists all."""
        self._find = find
        self._list_all = list_all

    def __contains__(self, name: object) -> bool:
        try:
            self._find(str(name))
        except DataNotFoundError:
            return False
        return True

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        return self._list_all()[at]

    def __len__(self) -> int:
        return len(self._list_all())


def trimmed_loader(loader: Any) -> Any:
    """Return a `TrimmedLoader` with the same paths, if the loader is botocore's own, else the loader itself."""
    return TrimmedLoader(loader) if _is_stock(loader) else loader


@contextmanager
def chunked_loading(loader: Any) -> Generator[None]:
    """Make the loader use a `ChunkedModelLoader` within the block, if it is botocore's own."""
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
    """A partition's services, each parsed when it is first accessed."""

    def __init__(self, texts: dict[str, str]) -> None:
        """Take the JSON text of each service by name."""
        self._texts = texts
        self._parsed: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._parsed:
            self._parsed.setdefault(name, _parse_all(self._texts[name]))  # another thread may have parsed it first
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


_SERVICES = re.compile(r'"services"\s*:\s*{')  # not in a string: its quotes would have a backslash before them
_NAMED = re.compile(r'\s*"([^"\\]*)"\s*:\s*')
_AFTER = re.compile(r"\s*([,}])")


def parse_endpoints(text: str) -> Any:
    """Parse an endpoints file; the services of its partitions stay text until they are accessed.

    A file with another layout is parsed as a whole, and so refused if it is no JSON.
    """
    try:
        return _parse_lazily(text)
    except ValueError:
        return _parse_all(text)


def _parse_lazily(text: str) -> Any:
    found: list[dict[str, str]] = []
    remainder, at = "", 0
    while opening := _SERVICES.search(text, at):
        texts, end = _skip_object(text, opening.end())
        remainder += f'{text[at : opening.start()]}"services":"{_placeholder(len(found))}"'
        found.append(texts)
        at = end
    data = _parse_all(remainder + text[at:])
    partitions = data.get("partitions") if isinstance(data, dict) else None
    if not isinstance(partitions, list) or not all(isinstance(each, dict) for each in partitions):
        raise ValueError("no partitions")
    if [each.get("services") for each in partitions] != [_placeholder(number) for number in range(len(found))]:
        raise ValueError("something else is called services")
    for partition, texts in zip(partitions, found, strict=True):
        partition["services"] = LazyServices(texts)
    return data


def _placeholder(number: int) -> str:
    return f"services of partition {number}"


def _skip_object(text: str, at: int) -> tuple[dict[str, str], int]:
    """Return the text of each member of the object that begins just before `at`, and the position of its end."""
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
    raise ValueError("an object of an unexpected layout")
