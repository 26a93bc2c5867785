"""The contract, version 1: generated from batch_service.proto by `make proto`."""
