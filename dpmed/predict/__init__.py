"""ROOM 6: a trained model over scans that `dpmed ingest` has never seen, its answers in the geometry of the input."""
