"""Input formats, a module each: bytes in; packed drawings with their columns, and rejects, out."""
