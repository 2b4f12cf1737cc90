"""Load that is one request again and again, by ``wrk``."""

import json
import os
import subprocess
from pathlib import Path

from benchmarks.compare.rated import Rated

_SCRIPT = Path(__file__).with_name("wrk_report.lua")


def load(
    url: str, *, connections: int, seconds: float, body: str = "", authorization: str = ""
) -> Rated:
    """Ask ``url`` over ``connections`` at once; POST where there is a body.

    It runs on the cores of this process. What wrk calls seconds are whole ones.
    """
    whole = max(1, round(seconds))
    command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={whole}s"]
    finished = subprocess.run(
        [*command, "--timeout=10s", f"--script={_SCRIPT}", url],
        env={
            "PATH": os.environ["PATH"],
            "LOAD_BODY": body,
            "LOAD_AUTHORIZATION": authorization,
        },
        capture_output=True,
        text=True,
        timeout=whole + 30,
        check=False,
    )
    return parse(finished.stdout, finished.stderr)


def parse(output: str, errors: str = "") -> Rated:
    """Read what the script printed; ValueError where it printed nothing."""
    for line in output.splitlines():
        if line.startswith("FOUND "):
            found = json.loads(line.removeprefix("FOUND "))
            return Rated(
                requests=found["requests"],
                seconds=found["microseconds"] / 1e6,
                p50=found["p50"] / 1000,
                p99=found["p99"] / 1000,
                refused=found["refused"],
                lost=found["lost"],
            )
    raise ValueError(f"wrk found nothing: {output}{errors}")
