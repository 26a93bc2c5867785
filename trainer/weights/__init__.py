"""Weights of other libraries' files in our models: reading files, knowing their names, fitting them in."""
