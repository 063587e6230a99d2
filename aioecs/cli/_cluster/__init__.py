"""What the commands do that read a cluster or stop tasks; help imports none of it."""
