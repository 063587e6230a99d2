"""The state of the local ECS: clusters, instances, tasks, time, token buckets, and the history of calls."""
