"""Drives the AWS CLI: a process for each start; the argument after the settings is its path. A cancel is a SIGINT."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time

import storm


def command(number: int) -> list[str]:
    """Return the command line of one start."""
    asked = storm.request(number)
    where = [] if storm.RUNS else ["--container-instances", *asked["containerInstances"]]
    operation = ["run-task" if storm.RUNS else "start-task", "--task-definition", asked["taskDefinition"]]
    return [sys.argv[2], "ecs", *operation, "--group", asked["group"], "--output", "json", *where]


def start(number: int) -> list[str]:
    """Start one task."""
    done = subprocess.run(command(number), capture_output=True, text=True, check=True)
    return storm.read(json.loads(done.stdout))


def cancelled() -> None:
    """Interrupt each process at a random moment, as Ctrl-C does."""
    began = time.perf_counter()
    start(storm.STARTS)
    longest = time.perf_counter() - began
    chance = random.Random(storm.SETTINGS["seed"])
    for number in range(storm.STARTS):
        process = subprocess.Popen(command(number), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            process.wait(chance.uniform(0.7, 1.0) * longest)  # what comes before is the start of Python
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate()
        if process.returncode == 0:
            storm.say(number, "started", storm.read(json.loads(output)))
        else:
            storm.say(number, "cancelled")


if storm.CANCELS:
    cancelled()
else:
    storm.run(start)
