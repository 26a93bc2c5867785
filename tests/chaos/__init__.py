"""Proofs that take longer than a test may: scripts with a bounded time, a printed verdict and exit code 0 or 1."""
