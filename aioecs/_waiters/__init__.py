"""Waiting for tasks: one poller for all waits of a client, and the task state changes that a user feeds in."""
