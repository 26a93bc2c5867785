"""Training as several processes, usually one on each host."""
