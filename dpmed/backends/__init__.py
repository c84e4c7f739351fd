"""THE MACHINES: cpu, cuda, ipu behind one small interface: the sum of per-patient clipped gradients."""
