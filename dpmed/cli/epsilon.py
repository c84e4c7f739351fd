"""`dpmed epsilon`."""


def epsilon() -> None:
    """Not built yet."""
    raise NotImplementedError
