"""The clients that users would pick to start ECS tasks, each in an environment of its own, in the same storms."""
