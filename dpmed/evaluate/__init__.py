"""ROOM 3: predictions and metrics on held-out patients."""
