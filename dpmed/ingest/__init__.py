"""ROOM 1: files in, scrubbed images, a manifest and an audit of what was removed out."""

from dpmed.ingest.request import IngestDone, IngestRequest, IngestResult, SplitFractions
from dpmed.ingest.run import ingest

__all__ = ["IngestDone", "IngestRequest", "IngestResult", "SplitFractions", "ingest"]
