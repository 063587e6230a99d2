"""Decisions about where a task runs: what it needs, what a host has, which host is chosen."""
