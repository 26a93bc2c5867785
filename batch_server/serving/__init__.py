"""The gRPC service: admission, prefetch, the catalog of datasets, compression, errors and the server's life."""
