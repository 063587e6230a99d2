"""Where the local ECS runs a task: capacity of hosts, placement, Fargate, capacity providers."""
