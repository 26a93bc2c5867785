"""`trainer doctor`: whether the device, this process, the link or the servers limit a training."""
