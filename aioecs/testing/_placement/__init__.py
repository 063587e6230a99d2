"""Where the local ECS runs a task: capacity of instances, placement, Fargate, capacity providers."""
