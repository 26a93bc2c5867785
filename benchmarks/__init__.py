"""Benchmarks: each a module whose `tables` measures; run as a module it prints them, `make bench` runs the quick ones."""
