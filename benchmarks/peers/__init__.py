"""Drawings per second into a training process, by Inkstream and by what people use today.

`python -m benchmarks.peers`. It takes about six minutes; the first time some more, and several GB, for the peers'
environment.
"""

from benchmarks.peers.measuring import tables

__all__ = ["tables"]
