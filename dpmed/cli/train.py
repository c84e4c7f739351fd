"""`dpmed train`."""


def train() -> None:
    """Not built yet."""
    raise NotImplementedError
