"""PopTorch's exceptions."""


class Error(Exception):
    """What PopTorch raises, with the fields that its errors carry."""

    def __init__(self, message):
        super().__init__(message)
        self.message = message
        self.type = "poptorch_py_error"
        self.location = ""


class RecoverableError(Error):
    """An error of the machine after which it can be used again."""


class UnrecoverableError(Error):
    """An error of the machine after which it cannot."""
