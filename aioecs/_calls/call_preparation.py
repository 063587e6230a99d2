"""From a request to a call: checked, given its token and its clocks. Nothing is begun here, signed or sent."""

from __future__ import annotations

import os
import time
from typing import Any

import anyio
import attrs

from aioecs._calls.call import Call
from aioecs._calls.reconciler import TAG, Reconciler
from aioecs._logic.calls import token as tokens
from aioecs._logic.calls.call_record import CallRecord
from aioecs._model import limits
from aioecs._model.options import Delivery
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.tags import Tag
from aioecs._runtime.client_core import Core
from aioecs.errors import InvalidRequest


def fresh_token() -> str:
    """Make a token of its own.

    Its chance is drawn anew each time: a store of it would be shared by what is forked, or woken from one snapshot.
    """
    return tokens.fresh(os.urandom(tokens.ENTROPY))


@attrs.define(eq=False)
class Preparer:
    """Makes the calls of one client, and knows the desks where they are looked up."""

    core: Core
    region: str | None
    """The Region that ARNs are held against; None where the endpoint is the caller's own."""
    paced: bool
    tag_tokens: bool
    reconcilers: dict[str | None, Reconciler] = attrs.Factory(dict)
    """By cluster."""
    partition: str = attrs.field(default=attrs.Factory(lambda own: own.core.transport.partition, takes_self=True))
    """Where requests go, which ARNs are held against."""

    def check(self, request: StartTaskRequest, *, any_number: bool = False) -> None:
        """Hold a request against every documented limit."""
        limits.expect(request, StartTaskRequest)
        limits.check(request, any_number=any_number, region=self.region, partition=self.partition)

    def fits(self, request: StartTaskRequest) -> bool:
        """Tell whether its instances, of any number, keep the rules; what else is in it isn't looked at."""
        return limits.fits(request, self.region, self.partition)

    def call(self, request: StartTaskRequest, key: Any, delivery: Delivery, *, fan_out: bool = False) -> Call:
        """Prepare a call. What fans out was checked when it was asked for, and belongs to no scope that could end it.

        Raises:
            InvalidRequest: a documented rule is broken.
        """
        limits.expect(request, StartTaskRequest)
        if key is not None and not (isinstance(key, str) and key):
            raise InvalidRequest("idempotency_key", "a string that isn't empty", f"a {type(key).__name__}")
        if key is not None and request.started_by is not None:
            raise InvalidRequest(
                "idempotency_key", "goes without started_by: the key makes the token that stands there"
            )
        token = tokens.derived(key) if key is not None else fresh_token()
        tagged = self.tag_tokens and request.started_by is not None
        if not fan_out and not tagged:
            self.check(request)  # before the token comes in, which keeps the rules: the JSON is written by then
        sent_as, token, adopts = self._with_token(request, token)
        if not fan_out and tagged:
            self.check(sent_as)
        core = self.core
        record = CallRecord(
            request=request,
            token=token,
            timeouts=core.timeouts,
            retries=core.retries,
            delivery=delivery,
            deadline=core.now + core.timeouts.call,
            horizon=float("inf") if fan_out else anyio.current_effective_deadline(),
            epoch=time.time() - core.now,
            paced=self.paced,
            keyed=key is not None,
            adopts=adopts,
        )
        return Call(core, record, sent_as, self.reconciler(request.cluster))

    def _with_token(self, request: StartTaskRequest, token: str) -> tuple[StartTaskRequest, str, bool]:
        """Return the request as it is sent, the token to look it up by, and whether what bears it is certainly ours."""
        if request.started_by is None:
            return request.replace(started_by=token), token, True
        if not self.tag_tokens:
            return request, request.started_by, False
        return request.replace(tags=(*(request.tags or ()), Tag(key=TAG, value=token))), token, True

    def reconciler(self, cluster: str | None) -> Reconciler:
        """Return where the doubts of a cluster are looked up."""
        reconciler = self.reconcilers.get(cluster)
        if reconciler is None:
            reconciler = self.reconcilers[cluster] = Reconciler(self.core, cluster)
        return reconciler
