"""Lets ``python -m dpmed`` do what the ``dpmed`` command does."""

import sys

from dpmed.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
