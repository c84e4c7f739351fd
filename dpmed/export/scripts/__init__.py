"""What an exported bundle carries beside its configuration. Copied as it is; it knows MONAI and torch, not dpmed."""
