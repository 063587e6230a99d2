"""A local ECS for tests: it enforces what Amazon ECS enforces, fails as scripted, and records what really happened.

`LocalECS` serves real HTTP on loopback, so any AWS SDK and the AWS CLI can use it. `Engine` is the same without a
socket. `ThreadedECS` runs the server on its own thread. `FaultProxy` puts the same faults in front of any endpoint of
ECS, a real one too. They import nothing from the aioecs client, so they can't share
its defects. `aioecs.testing.plugin` has fixtures for pytest.
"""

from aioecs.testing._engine import Engine
from aioecs.testing._errors import AwsError
from aioecs.testing._faults import Fault, FaultScript, faults_from_json, faults_from_script, faults_to_json
from aioecs.testing._local import ClientKwargs, LocalECS
from aioecs.testing._proxy.fault_proxy import FaultProxy
from aioecs.testing._proxy.signing import FaultProxyError
from aioecs.testing._serving.fault_server import LocalECSError
from aioecs.testing._state.account import Behaviour
from aioecs.testing._state.buckets import DOCUMENTED, Bucket, Buckets
from aioecs.testing._state.clock import VirtualClock
from aioecs.testing._state.records import Task as LocalTask
from aioecs.testing._state.truth import Call, Duplicate, TrueTask, Truth
from aioecs.testing._thread import ThreadedECS

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
    "FaultProxy",
    "FaultProxyError",
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
