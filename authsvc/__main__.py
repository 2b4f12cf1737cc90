"""``python -m authsvc`` and the console script ``authsvc``: the command line."""

import os
import signal
import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if os.getpid() == 1:
        _end_by_sigterm()
    try:
        # Imported here: Ctrl-C may come while it is, which takes a second.
        from authsvc.cli.program import run_program  # noqa: PLC0415  # see above

        code = run_program()
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _end_by_sigterm() -> None:
    """Let SIGTERM end process 1 of a container, as it ends every other process.

    The kernel keeps it from process 1 unless there is a handler. Whoever has better to do than
    to end, as the server has, sets a handler of its own.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))


if __name__ == "__main__":
    main()
