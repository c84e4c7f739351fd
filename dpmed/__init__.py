"""dpmed: train on your own patients' scans so that no single patient can be picked out of the weights."""

__version__ = "0.1.0"
