"""The options that `aioecs start` and `aioecs run` share, and the value that they make."""

from __future__ import annotations

import inspect

from aioecs.cli._start.arguments import with_task_options
from aioecs.cli._start.options import StartOptions


def test_what_a_command_gets() -> None:
    """The options as one value; help lists them before the command's own."""
    seen: list[StartOptions] = []

    @with_task_options
    def command(more: bool = False, *, task: StartOptions) -> int:
        seen.append(task)
        return 3

    assert list(inspect.signature(command).parameters)[-1] == "more"
    assert command(cluster="c", environment=["A=1"], instances=["a,b"], tags=["k=v"], subnets=["s1,s2"]) == 3
    [task] = seen
    assert (task.cluster, task.environment, task.instances) == ("c", (("A", "1"),), ("a", "b"))
    assert task.tags == (("k", "v"),)
    assert task.network is not None
