"""Benchmarks: each a module with `main()` that prints a table; `make bench` runs them all."""
