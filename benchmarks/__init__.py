"""Benchmarks: each a module whose `tables` measures.

Run as a module, one prints its tables. `python -m benchmarks` runs several, keeps what they found in
`benchmarks/results/` and writes docs/benchmarks.md from what is kept.
"""
