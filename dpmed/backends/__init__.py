"""THE MACHINES: cpu, cuda, ipu behind one small interface: the sum of per-patient clipped gradients."""

from dpmed.backends.base import Backend, Weights
from dpmed.backends.open import closed_backend, open_backend, resolve_device

__all__ = ["Backend", "Weights", "closed_backend", "open_backend", "resolve_device"]
