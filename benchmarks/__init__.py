"""Benchmarks of aioecs and other clients, measured in the same run: `python -m benchmarks.truth`."""
