"""`python -m dpmed.samples FOLDER` writes the sample data of the repository."""

import argparse
from pathlib import Path

from dpmed.samples import write_brats, write_covid_ct


def main() -> None:
    """Write `FOLDER/covid-ct` and `FOLDER/brats`; the same seed gives the same bytes."""
    parser = argparse.ArgumentParser(prog="python -m dpmed.samples", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_covid_ct(options.folder / "covid-ct", seed=options.seed)
    write_brats(options.folder / "brats", seed=options.seed)


if __name__ == "__main__":
    main()
