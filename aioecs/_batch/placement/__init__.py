"""Starts whose container instance aioecs chooses: the inventory of a cluster, and the stream that places starts."""
