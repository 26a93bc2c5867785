"""Procedural sketches in the layout of Quick, Draw!: drawings for a demo that needs no download.

`pen.py` is a hand that shakes, `subjects.py` the twelve things that it draws, `generator.py` turns both into drawings
and files.
"""

from deploy.sketches.generator import Sketch, sketch, write_labelled, write_unlabelled
from deploy.sketches.subjects import SUBJECTS

__all__ = ["SUBJECTS", "Sketch", "sketch", "write_labelled", "write_unlabelled"]
