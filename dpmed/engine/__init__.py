"""ROOM 2: plan, the training loop, checkpoints."""
