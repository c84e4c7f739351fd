"""ROOM 1: files in, scrubbed images, manifest and audit of what was removed out."""
