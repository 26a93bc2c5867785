"""`batch-server doctor`: what this machine can deliver of a dataset, and what limits it."""
