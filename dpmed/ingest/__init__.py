"""ROOM 1: files in, scrubbed images, a manifest and an audit of what was removed out."""
