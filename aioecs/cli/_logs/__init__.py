"""Shows the logs of tasks, for `aioecs logs` and `aioecs run`."""
