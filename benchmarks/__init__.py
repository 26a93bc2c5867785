"""Benchmarks: each a module whose `tables` measures.

Run as a module, one prints its tables; `make bench` runs the quick ones.
"""
