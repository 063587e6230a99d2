"""An honest local ECS for tests: it enforces what Amazon ECS enforces, breaks as scripted, and keeps the truth.

`LocalECS` serves real HTTP on loopback, so any AWS SDK or the AWS CLI can use it; `Engine` is the same without a
socket, and `ThreadedECS` the server on a thread of its own. They import nothing of aioecs' client: they are independent
witnesses. `aioecs.testing.plugin` has fixtures for pytest.
"""

from aioecs.testing._engine import Engine
from aioecs.testing._errors import AwsError
from aioecs.testing._faults import Fault, FaultScript, faults_from_json, faults_from_script, faults_to_json
from aioecs.testing._local import ClientKwargs, LocalECS
from aioecs.testing._server import LocalECSError
from aioecs.testing._thread import ThreadedECS
from aioecs.testing._world.buckets import DOCUMENTED, Bucket, Buckets
from aioecs.testing._world.clock import VirtualClock
from aioecs.testing._world.state import Task as LocalTask
from aioecs.testing._world.truth import Call, Duplicate, TrueTask, Truth
from aioecs.testing._world.world import Behaviour

__all__ = [
    "DOCUMENTED",
    "AwsError",
    "Behaviour",
    "Bucket",
    "Buckets",
    "Call",
    "ClientKwargs",
    "Duplicate",
    "Engine",
    "Fault",
    "FaultScript",
    "LocalECS",
    "LocalECSError",
    "LocalTask",
    "ThreadedECS",
    "TrueTask",
    "Truth",
    "VirtualClock",
    "faults_from_json",
    "faults_from_script",
    "faults_to_json",
]
