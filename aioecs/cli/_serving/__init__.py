"""What runs until a signal: the local ECS, the fault proxy, a worker."""
