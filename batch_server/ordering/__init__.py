"""Which samples a split holds and in which order an epoch visits them."""

from batch_server.ordering.plan import EpochPlan, split_samples

__all__ = ["EpochPlan", "split_samples"]
