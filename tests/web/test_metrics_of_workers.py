"""Metrics of several workers: each scrape answers for all of them."""

import os
import re
import signal
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from authsvc import metrics_folder
from tests.conftest import MASTER_KEY, Backend
from tests.replicas.replicas import until
from tests.served import Served, serve


def _scrape(served: Served) -> dict[str, float]:
    """Return each sample by its name and labels; on a connection of its own, so of any worker."""
    text = httpx.get(f"{served.issuer}/metrics", timeout=30).text
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _refuse(served: Served, times: int) -> None:
    for _ in range(times):
        answer = httpx.post(f"{served.issuer}/token", data={"client_id": "nobody"}, timeout=30)
        assert answer.status_code == 401


_REFUSED = "authsvc_errors_total[('error', 'invalid_client'), ('route', '/token')]"
_SECONDS = (
    "authsvc_http_request_seconds_count[('method', 'POST'), ('route', '/token'), ('status', '401')]"
)


def _workers(served: Served) -> list[psutil.Process]:
    children = psutil.Process(served.process.pid).children()
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "spawn_main" in " ".join(child.cmdline())]


def _ended() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def _folder_of(served: Served) -> Path:
    (worker, *_) = _workers(served)
    return Path(worker.environ()["PROMETHEUS_MULTIPROC_DIR"])


async def test_two_workers_answer_as_one_also_when_one_was_killed(
    sqlite_backend: Backend, tmp_path: Path
) -> None:
    variables = {
        "AUTHSVC_DATABASE_URL": sqlite_backend.database_url,
        "AUTHSVC_MASTER_KEY": MASTER_KEY,
        "AUTHSVC_RATE_LIMITS": "off",
    }
    with serve(variables, tmp_path, workers=2) as served:
        await until(lambda: _scrape(served).get("authsvc_workers[]") == 2, patience=60)
        _refuse(served, 40)
        for _ in range(6):
            scraped = _scrape(served)
            assert scraped[_REFUSED] == scraped[_SECONDS] == 40
            assert scraped["authsvc_database_connections_max[('pool', 'shared')]"] == 10
            assert scraped["authsvc_signing_keys[('alg', 'ES256'), ('state', 'active')]"] == 1
        folder = _folder_of(served)
        assert folder.stat().st_mode & 0o777 == 0o700
        # As a process leaves it that is only just making it; or was killed then.
        making, unmade = folder / f"counter_{os.getpid()}.db", folder / f"counter_{_ended()}.db"
        making.touch()
        unmade.touch()
        assert _scrape(served)[_REFUSED] == 40
        assert making.exists()
        assert not unmade.exists()
        killed = _workers(served)[0].pid
        os.kill(killed, signal.SIGKILL)
        await until(lambda: killed not in {worker.pid for worker in _workers(served)}, patience=60)
        await until(
            lambda: (
                _scrape(served).get("authsvc_workers[]") == 2
                and not list(folder.glob(f"*_{killed}.db"))
            ),
            patience=60,
        )
        _refuse(served, 2)
        scraped = _scrape(served)
        assert scraped[_REFUSED] == scraped[_SECONDS] == 42
        assert not [name for name in scraped if re.search(r"'pid'", name)]
    assert not folder.exists()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders are made."""
    monkeypatch.setattr(metrics_folder, "_IN_MEMORY", tmp_path)
    return tmp_path


def test_a_folder_goes_with_its_block_and_one_whose_owner_was_killed_with_the_next(
    place: Path,
) -> None:
    abandoned = place / "authsvc-metrics-abandoned"
    abandoned.mkdir()
    (abandoned / "lock").touch()
    foreign = place / "something-else"
    foreign.mkdir()
    with metrics_folder.open_folder() as first:
        assert not abandoned.exists()
        with metrics_folder.open_folder() as second:
            assert first.exists()
            assert second.exists()
    assert list(place.iterdir()) == [foreign]
    assert not metrics_folder.is_shared()
