"""What `aioecs run` does: start tasks, show their logs, and end with their exit status."""
