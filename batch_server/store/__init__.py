"""The LMDB dataset: its schema, its writer and its reader."""
