"""Import: reads sources in parallel into parts on disk, then writes one dataset from them in a fixed order."""
