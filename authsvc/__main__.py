"""``python -m authsvc`` and the console script ``authsvc``: the command line."""

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        # Imported here: Ctrl-C may come while it is, which takes a second.
        from authsvc.cli.program import run_program  # noqa: PLC0415  # see above

        code = run_program()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
