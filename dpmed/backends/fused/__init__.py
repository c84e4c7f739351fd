"""The `fused` engine: one forward and one backward for many patients, each clipped alone."""

from dpmed.backends.fused.engine import Fused

__all__ = ["Fused"]
