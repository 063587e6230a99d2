"""Requests to the bytes of their bodies."""

from __future__ import annotations

from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted

from aioecs._model.checks.request_json import checked_json, json_of
from aioecs._model.codec.encoder import GAP
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.start_task import StartTaskRequest

_quoted = lru_cache(maxsize=4096)(quoted)  # many calls name the same few instances; they are no secrets


def body_of(request: Shape) -> bytes:
    """Return the body of a request, as botocore writes it.

    What a StartTask has in common with others was written when it was checked; its instances and its mark are put in.
    """
    if type(request) is StartTaskRequest and request.started_by is not None:
        common = checked_json(request)
        if common is not None:
            before, between, after = common.split(GAP)
            instances = ", ".join(map(_quoted, request.container_instances))
            return f"{before}[{instances}]{between}{quoted(request.started_by)}{after}".encode("ascii")
    return json_of(request).encode("ascii")
