"""Putting Inkstream to work: the demo, and the files for containers."""
