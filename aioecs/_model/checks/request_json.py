"""The JSON of a request, written and checked in one pass, once for each request and kept with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from aioecs._model.checks.rules import FAST_RULES
from aioecs._model.checks.table import INSTANCES_PER_CALL, LIMITS
from aioecs._model.codec.encoder import GAP, Bounds, Encoders
from aioecs._model.codec.hidden_slots import ENCODED, keep_encoded
from aioecs._model.codec.plain import members, to_plain
from aioecs._model.codec.sameness import same_of
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.overrides import KeyValuePair
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.tags import Tag

_BOUNDS: Mapping[tuple[type[Shape], str], Bounds] = {
    **{
        of: Bounds(limit.at_least, limit.at_most, limit.pattern and limit.pattern.fullmatch)
        for of, limit in LIMITS.items()
    },
    (KeyValuePair, "name"): Bounds(at_least=1, needed=True),
    (Tag, "key"): Bounds(LIMITS[Tag, "key"].at_least, LIMITS[Tag, "key"].at_most, needed=True),
}
_ENCODERS = Encoders(_BOUNDS, FAST_RULES)
_STARTED_BY = LIMITS[StartTaskRequest, "started_by"]

checked_json = _ENCODERS.text
"""Return the JSON of a value that certainly keeps every rule, or None.

A StartTaskRequest's has a gap (`encoder.GAP`) in place of its instances and of `started_by`, which are not checked: it
is the same for all requests that may share a call.
"""


def keeps_what_varies(request: StartTaskRequest, any_number: bool) -> bool:
    """Return whether the instances, of any number if so, and `started_by` certainly keep their limits."""
    instances, mark = request.container_instances, request.started_by
    if type(instances) is not tuple or not instances or (len(instances) > INSTANCES_PER_CALL and not any_number):
        return False
    for each in instances:
        if type(each) is not str:
            return False
    return mark is None or (type(mark) is str and _is_started_by(mark))


def _is_started_by(mark: str) -> bool:
    pattern, most = _STARTED_BY.pattern, _STARTED_BY.at_most
    assert pattern is not None and most is not None  # noqa: S101, PT018 the table has both
    return _STARTED_BY.at_least <= len(mark) <= most and pattern.fullmatch(mark) is not None


def common_json(request: StartTaskRequest) -> str:
    """Return what is equal for all requests that may share a call, and for no others: the JSON but for what varies.

    Of a request that is not certain to keep every rule it is written anew each time: a caller may change its `extra`.
    """
    return checked_json(request) or _common(request)


def _common(request: StartTaskRequest) -> str:
    plain = to_plain(request.replace(container_instances=(), started_by=""))
    return json.dumps(plain | {member.wire: GAP for member in members(type(request)) if member.varies})


def share_parts(request: StartTaskRequest, other: StartTaskRequest) -> None:
    """Make a request hold the very parts (overrides, tags …) of another with the same JSON, in place of its equal ones.

    Of thousands of equal requests that are kept, the parts are kept once. Only `is` shows the difference.
    """
    written, common = getattr(request, ENCODED, None), getattr(other, ENCODED, None)
    if common is not None and written == common:  # else a part may hold what its owner can change
        _share(request, other, common)


def share_if_same(request: StartTaskRequest, other: StartTaskRequest) -> bool:
    """Make a request share the parts of another, and its JSON, if that is certainly the same; return whether it is.

    Then one check serves for both, but for what varies.
    """
    common = getattr(other, ENCODED, None)
    if common is None or not same_of(StartTaskRequest)(request, other):
        return False
    _share(request, other, common)
    return True


def _share(request: StartTaskRequest, other: StartTaskRequest, common: str) -> None:
    if other.overrides is not None:
        _put_overrides(request, other.overrides)
    if other.network_configuration is not None:
        _put_network(request, other.network_configuration)
    if other.tags is not None:
        _put_tags(request, other.tags)
    if other.volume_configurations is not None:
        _put_volumes(request, other.volume_configurations)
    keep_encoded(request, common)


_slot: Any = vars(StartTaskRequest)
_put_overrides: Callable[[Any, Any], None] = _slot["overrides"].__set__
_put_network: Callable[[Any, Any], None] = _slot["network_configuration"].__set__
_put_tags: Callable[[Any, Any], None] = _slot["tags"].__set__
_put_volumes: Callable[[Any, Any], None] = _slot["volume_configurations"].__set__


def json_of(request: Shape) -> str:
    """Return the JSON of a request, as `json.dumps` writes it."""
    written = None if isinstance(request, StartTaskRequest) else checked_json(request)
    return written or json.dumps(to_plain(request))
