"""Training: one loop, one step per kind of network."""
