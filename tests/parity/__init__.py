"""Our models beside those of Keras, torchvision and timm with the same random weights: `make parity`, not by pytest."""
