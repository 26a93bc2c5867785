"""The trainer: takes batches from batch servers and trains image models with JAX and Flax."""
