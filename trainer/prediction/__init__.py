"""What trained models say of samples: measured on a dataset, written as guesses, shown to people."""
