"""The same client for callers without an event loop: scripts, notebooks, Django views, Celery tasks, thread pools.

Every call is the async client's own, made on a background loop while the calling thread waits: so nothing is promised
here that `aioecs.Client` doesn't promise, and nothing less.
"""

from __future__ import annotations

from aioecs._sync.operations import Operations
from aioecs._sync.starting import Starting

__all__ = ["Client"]


class Client(Starting, Operations):
    """`aioecs.Client` for callers without an event loop: the same parameters, names, values, errors and promises.

    Use it as `with aioecs.sync.Client(region_name="eu-west-1") as ecs: ...`, or make it once for the whole process:
    its first call opens it, and `close()` or the process's exit closes it. Any number of threads may share it. What
    was opened before a fork can't be used after it; what is first used after it can, so a client that a module makes
    works in the worker processes of a server.

    Documented by `aioecs.Client`: `look_up`, `place_task`, `run`, `stop_task`, `run_task`, `task_result`, `log_tail`,
    `wait_until_running`, `wait_until_stopped`, `wait_until_healthy`, `wait_for_results`, `wait_for_instances`,
    `describe_tasks`, `describe_container_instances`, `describe_task_definition`.

    `CancelToken` cancels from any thread. A Ctrl-C does what a cancel does: the call is withdrawn, its thread waits
    `timeouts.settle` seconds at most for what came of it, and KeyboardInterrupt is then raised with the
    StartCancelled as its cause (see `aioecs.find_start_error`). So does whatever else a signal handler raises, such as
    SystemExit, or the time limit of a job in Celery or RQ. A second one ends that wait; the client goes on, and
    `on_settled` gets the end. Python raises these in the main thread alone: hand other threads a token, and cancel
    that.

    A call is refused on a thread whose event loop runs, which it would block; a notebook's cell, which
    IPython runs on its own loop, may block it. `on_settled` is called on the background loop's thread: it must not
    block, and can't call the client.

    Raises:
        ConfigurationError: on entering, or in the first call, if there is no Region, or settings contradict.
        ClientStateError: closed, opened before a fork, or called on a thread whose event loop runs.
    """
