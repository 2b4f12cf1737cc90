"""What a traffic needs: measured costs, times rates of which the simulation knows the peaks."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from authsvc.storage.changes import HEARTBEAT
from benchmarks.hash_queue import workers_needed
from benchmarks.simulation import Simulated, simulate
from benchmarks.traffic import DAY, Traffic

USED: Final = 0.6
"""The share of a core that a serving process may use at the peak: beyond it, answers wait."""

Measured = dict[str, Any]


@dataclass(frozen=True)
class Needs:
    """What the peak of the day takes; rates are per second, sizes are in bytes."""

    requests: dict[str, float]
    request_cores: float
    """Cores that are busy with requests, without the password hashes."""
    hash_cores: int
    learning_share: float
    """The share of a core that each process uses to learn of revocations."""
    heartbeat_share: float
    """The share of a core that each process uses to hear the heartbeats of all."""
    processes: int | None
    """Serving processes that stay below ``USED``; None: no number suffices."""
    postgres_cores: float
    transactions: float
    """PostgreSQL transactions that write."""
    wal: float
    """WAL, long after a checkpoint."""
    wal_after_checkpoint: float
    rows: dict[str, float]
    table_bytes: dict[str, float]
    audit_bytes_a_year: float
    listed: float
    redis_bytes: float
    process_bytes: float
    """Memory of one process, without hashes."""
    hash_bytes: float
    """Memory of the hashes that are computed at once."""
    purge_share: float
    """What the purge has to do, of what it can; above 1 it falls behind."""
    visits: float


def read_measured() -> Measured:
    """Return what was measured."""
    measured: Measured = json.loads(Path(__file__).with_name("measured.json").read_text())
    return measured


def find_needs(traffic: Traffic, measured: Measured, *, sample: int = 4_000) -> Needs:
    """Return what the traffic needs."""
    costs, revocation = measured["requests"], measured["revocation"]
    simulated = simulate(traffic, measured["purged_rows_a_second"], sample=sample)
    requests = _requests(traffic, simulated)
    hash_seconds = measured["argon2"]["cpu_seconds"]
    request_cores = _sum(requests, costs, "cpu_ms") / 1000 - requests["sign_in"] * hash_seconds
    hash_cores = workers_needed(requests["sign_in"], hash_seconds)
    learning_share = simulated.revocations * revocation["learnt_cpu_us"] / 1e6
    per_beat = measured["heartbeat_cpu_us"] / 1e6 / HEARTBEAT
    processes = _processes(request_cores, learning_share, per_beat)
    rows = {"users": float(traffic.people), **simulated.rows}
    per_row = measured["bytes_per_row"] | {"revocations": revocation["table_bytes"]}
    wal = _sum(requests, costs, "wal_bytes")
    compared = measured["wal_bytes_of_refresh_after_checkpoint"]
    return Needs(
        requests=requests,
        request_cores=request_cores,
        hash_cores=hash_cores,
        learning_share=learning_share,
        heartbeat_share=per_beat * (processes or 0),
        processes=processes,
        postgres_cores=_sum(requests, costs, "postgres_cpu_ms") / 1000,
        transactions=_sum(requests, costs, "transactions"),
        wal=wal,
        wal_after_checkpoint=wal
        + requests["refresh"] * (compared["off"] - costs["refresh"]["wal_bytes"]),
        rows=rows,
        table_bytes={name: count * per_row[name] for name, count in rows.items()},
        audit_bytes_a_year=_audit_events_a_day(traffic, measured) * 365 * per_row["audit_events"],
        listed=simulated.listed,
        redis_bytes=simulated.listed * revocation["redis_bytes"],
        process_bytes=measured["process_bytes"] + simulated.listed * revocation["process_bytes"],
        hash_bytes=hash_cores * measured["argon2"]["bytes"],
        purge_share=simulated.purge_share,
        visits=simulated.visits,
    )


def _requests(traffic: Traffic, simulated: Simulated) -> dict[str, float]:
    """Return the requests a second of each kind at its peak; a whole sign-in counts as one."""
    sign_ins = traffic.sign_ins * traffic.peak_factor
    return {
        "sign_in": sign_ins,
        "refresh": simulated.refreshes,
        "introspection": simulated.refreshes * traffic.introspections_per_refresh,
        "userinfo": sign_ins * traffic.userinfo_per_sign_in,
        "discovery": sign_ins * traffic.discovery_per_sign_in,
        "client_credentials": traffic.clients / traffic.access_token_ttl,
        "revocation": sign_ins * traffic.revoked_share,
    }


def _audit_events_a_day(traffic: Traffic, measured: Measured) -> float:
    written = {name: cost["audit_events"] for name, cost in measured["requests"].items()}
    per_visit: float = (
        written["sign_in"]
        + written["refresh"] * traffic.refreshes_per_visit
        + written["revocation"] * traffic.revoked_share
    )
    return traffic.sign_ins * DAY * per_visit


def _processes(request_cores: float, learning_share: float, per_beat: float) -> int | None:
    """Return the fewest processes none of which uses more than ``USED`` of a core.

    Each learns of all revocations, and hears the heartbeats of all.
    """
    for processes in range(max(1, math.ceil(request_cores)), math.ceil(USED / per_beat)):
        if request_cores / processes + learning_share + processes * per_beat <= USED:
            return processes
    return None


def _sum(requests: dict[str, float], costs: Measured, unit: str) -> float:
    total: float = sum(rate * costs[name][unit] for name, rate in requests.items())
    return total
