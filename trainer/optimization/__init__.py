"""How batches change a model: the settings, the schedule of updates and evaluations, optimizers, and what they do."""
