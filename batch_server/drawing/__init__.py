"""The sample kind `drawing`: packed records, and the simplification of raw drawings."""
