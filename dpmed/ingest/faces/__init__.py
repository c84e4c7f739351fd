"""Faces in head scans: seen before anything is removed, and removed without touching the brain."""
