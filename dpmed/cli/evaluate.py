"""`dpmed evaluate`."""


def evaluate() -> None:
    """Not built yet."""
    raise NotImplementedError
