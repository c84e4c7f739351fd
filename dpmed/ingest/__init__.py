"""ROOM 1: files in, scrubbed images, a manifest and an audit of what was removed out."""

from dpmed.ingest import codecs as codecs  # before anything else loads pydicom, and with it all that it takes along
