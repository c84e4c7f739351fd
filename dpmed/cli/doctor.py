"""`dpmed doctor`."""


def doctor() -> None:
    """Not built yet."""
    raise NotImplementedError
