"""Jobs: how one is started once under a lease, waited for, and what that means for its message."""
