"""Drives the AWS CLI: a process for each start; the argument after the settings is its path. A cancel is a SIGINT."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

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


class Relay:
    """Passes the connections of the processes on to the endpoint, and notes when a request has gone by."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.passed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        target = urlsplit(storm.ENDPOINT)
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection((target.hostname or "", target.port or 80))
            threading.Thread(target=self._pump, args=(client, server, self.passed), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, passed: threading.Event | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if passed is not None:
                    passed.set()
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def cancelled() -> None:
    """Interrupt each process as Ctrl-C does, at a random moment after its request has gone by.

    What comes before is the start of Python: an interrupt then would say nothing of a start.
    """
    # A shell starts what runs in its background with SIGINT ignored, and so would each process: a terminal does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    relay = Relay()
    chance = random.Random(storm.SETTINGS["seed"])
    for number in range(storm.STARTS):
        relay.passed.clear()
        line = [*command(number), "--endpoint-url", relay.url]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if relay.passed.wait(60):
            time.sleep(chance.random() * 2 * storm.SETTINGS["latency"])
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
