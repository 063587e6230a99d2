"""The command `aioecs start` behind its options: requests, jobs, and the run."""
