"""Finding a learning rate: the range test, its curve, and the command that runs it on a training to come."""
