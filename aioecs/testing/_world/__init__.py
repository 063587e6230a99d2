"""The state of the local ECS: clusters, hosts, tasks, time, and the record of what happened."""
