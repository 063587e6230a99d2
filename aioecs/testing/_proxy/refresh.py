"""Asks an upstream for the present states of the recorded tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from aioecs.testing._proxy.record import Record
from aioecs.testing._proxy.signing import FaultProxyError
from aioecs.testing._proxy.upstream import Upstream, UpstreamError
from aioecs.testing._serving.backend import TARGET, Incoming
from aioecs.testing._serving.request_body import json_object
from aioecs.testing._serving.responses import CONTENT_TYPE
from aioecs.testing._state.truth import TrueTask

_AT_ONCE = 100  # tasks that one DescribeTasks takes [model]


async def refresh(upstream: Upstream, record: Record, region: str) -> None:
    """Describe each recorded task that is not known to have stopped; one that is MISSING has stopped long ago.

    Raises:
        FaultProxyError: the upstream did not answer, or refused.
    """
    for cluster, arns in _open_tasks(record):
        request = {"cluster": cluster, "tasks": arns}
        try:
            reply = await upstream.send(_describe(request, region))
        except UpstreamError as error:
            raise FaultProxyError(f"the tasks could not be described: {error}") from error
        if reply.status != 200:
            raise FaultProxyError(f"the tasks could not be described: HTTP {reply.status}")
        record.answered(0, "DescribeTasks", reply)
        record.gone([each["arn"] for each in json_object(reply.body).get("failures", ()) if "arn" in each])


def _open_tasks(record: Record) -> Iterator[tuple[str, list[str]]]:
    """Return the tasks that may not have stopped, by hundreds of one cluster."""
    by_cluster: dict[str, list[str]] = {}
    for task in record.history.tasks.values():
        if isinstance(task, TrueTask) and task.last_status != "STOPPED":
            by_cluster.setdefault(task.cluster_arn, []).append(task.arn)
    for cluster, arns in by_cluster.items():
        for at in range(0, len(arns), _AT_ONCE):
            yield cluster, arns[at : at + _AT_ONCE]


def _describe(request: Mapping[str, object], region: str) -> Incoming:
    """Return a request of DescribeTasks; its signature serves for an upstream that checks none."""
    scope = f"local/20260101/{region}/ecs/aws4_request"
    headers = {
        "Content-Type": CONTENT_TYPE,
        "X-Amz-Target": f"{TARGET}DescribeTasks",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Incoming("DescribeTasks", {}, json.dumps(request).encode(), headers, raw)
