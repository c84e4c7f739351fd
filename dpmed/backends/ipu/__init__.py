"""Graphcore IPUs: the network as a graph of plain layers, and a worker that runs it where PopTorch lives."""
