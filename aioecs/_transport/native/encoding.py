"""Requests to bytes: what the calls of a fan-out have in common is encoded once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from operator import attrgetter
from typing import Any, cast

import attrs

from aioecs._model.codec.plain import to_plain
from aioecs._model.codec.shape import NOTHING, Shape
from aioecs._model.shapes.start_task import StartTaskRequest

_VARIES = ("container_instances", "started_by")
_COMMON = tuple(field.name for field in attrs.fields(cast("Any", StartTaskRequest)) if field.name not in _VARIES)
_common = attrgetter(*_COMMON)
_quoted = lru_cache(maxsize=4096)(quoted)  # a fan-out names the same few instances thousands of times
_KEPT = 4
"""Templates kept at once: a fan-out has few kinds of request in flight at one time."""


def encode(request: Shape) -> bytes:
    """Encode a request as botocore does."""
    return json.dumps(to_plain(request)).encode()


@attrs.frozen
class _Template:
    """A StartTask's body around its two holes. What it was made of may hold secrets: it is in no repr."""

    made_of: tuple[Any, ...] = attrs.field(repr=False)
    before: str = attrs.field(repr=False)
    between: str = attrs.field(repr=False)
    after: str = attrs.field(repr=False)

    def filled(self, instances: Iterable[str], started_by: str) -> bytes:
        """Return the body for these instances."""
        listed = ", ".join(map(_quoted, instances))
        return f"{self.before}[{listed}]{self.between}{quoted(started_by)}{self.after}".encode()


class Encoder:
    """Encodes requests, and remembers what those in flight have in common until `forget`."""

    def __init__(self) -> None:
        self._templates: list[_Template] = []

    def body(self, request: Shape) -> bytes:
        """Return a request's body."""
        if type(request) is not StartTaskRequest or request.started_by is None or request.extra is not NOTHING:
            return encode(request)
        made_of = _common(request)
        for template in self._templates:
            if template.made_of == made_of:
                break
        else:
            template = _template(request, made_of)
            self._templates = [template, *self._templates[: _KEPT - 1]]
        return template.filled(request.container_instances, request.started_by)

    def forget(self) -> None:
        """Forget it all: environments may hold secrets, and nothing that needs them is in flight."""
        self._templates.clear()


def _template(request: StartTaskRequest, made_of: tuple[Any, ...]) -> _Template:
    plain = {"containerInstances": None, "startedBy": None, **to_plain(request)}
    ordered = list(to_plain(request))
    first, second = ordered.index("containerInstances"), ordered.index("startedBy")

    def written(names: list[str]) -> list[str]:
        return [f"{json.dumps(name)}: {json.dumps(plain[name])}" for name in names]

    head, middle, tail = written(ordered[:first]), written(ordered[first + 1 : second]), written(ordered[second + 1 :])
    return _Template(
        made_of,
        "{" + "".join(f"{part}, " for part in head) + '"containerInstances": ',
        ", " + "".join(f"{part}, " for part in middle) + '"startedBy": ',
        "".join(f", {part}" for part in tail) + "}",
    )
