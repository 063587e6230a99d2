"""Checks on an account of your own whether Amazon ECS behaves as aioecs relies on: `python -m aioecs.conformance`.

It runs at most 60 small tasks, stops what it started, and prints a table: each fact, what was expected and on what
ground, what was seen, and what in the library depends on it. `aioecs conformance --help` has the options. It needs the
extra `cli`.
"""
