"""`dpmed ingest`."""


def ingest() -> None:
    """Not built yet."""
    raise NotImplementedError
