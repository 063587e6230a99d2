"""A model of the promise: the real state machines in a small world, all of whose states are visited."""
