"""The whole path in a few minutes: import, serve, train, evaluate, predict, look."""
