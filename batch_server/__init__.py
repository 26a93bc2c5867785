"""The batch server: imports drawings into LMDB, draws them and streams batches."""
