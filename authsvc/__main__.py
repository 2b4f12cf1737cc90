"""``python -m authsvc`` and the console script ``authsvc``: the command line."""

import sys

from authsvc.cli.program import run_program


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run_program())


if __name__ == "__main__":
    main()
