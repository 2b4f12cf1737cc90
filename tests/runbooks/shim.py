"""What ``authsvc`` is in the shell of a runbook: asks for the command to be run, in a process
that has imported the program already. Without that each command would cost a second more.

Run as a script, by itself: it imports next to nothing.
"""

import json
import os
import socket
import sys
from pathlib import Path


def main() -> int:
    """Have the command run where we stand; return its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["RUNBOOK_COMMANDS"])
        request = {
            "arguments": sys.argv[1:],
            "variables": dict(os.environ),
            "folder": str(Path.cwd()),
            "stdin": sys.stdin.read(),
        }
        with connection.makefile("rw") as file:
            file.write(json.dumps(request) + "\n")
            file.flush()
            answer = json.loads(file.readline())
    sys.stdout.write(answer["output"])
    sys.stderr.write(answer["errors"])
    return int(answer["code"])


if __name__ == "__main__":
    sys.exit(main())
