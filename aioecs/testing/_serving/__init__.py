"""HTTP on loopback with scripted faults: one server for the local ECS and the fault proxy."""
