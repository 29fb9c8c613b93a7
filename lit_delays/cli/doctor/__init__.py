"""Whether this machine can train: what is looked at, and how it is told."""
