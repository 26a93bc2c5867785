"""The gRPC service: admission, prefetch, the cache of chunks, datasets, compression, errors, the server's life."""
