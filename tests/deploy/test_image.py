"""The image: what the Dockerfile's instructions make, and how it behaves; see `make deploy-check`.

No engine builds it here. Its instructions are carried out all the same: tests.deploy.engine.
"""

import json
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.deploy.conftest import Installation
from tests.deploy.dockerfile import DOCKERFILE, REPOSITORY, parse_dockerfile
from tests.server_programs import free_port

pytestmark = pytest.mark.deploy

_PATIENCE = 60


def _run(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program inside the image and wait for its end."""
    command = installation.engine.command(installation.image, arguments, installation.variables)
    return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)


def _process_1(container: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the container's process 1, seen from outside."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        for child in psutil.Process(container.pid).children(recursive=True):
            if "authsvc" in " ".join(child.cmdline()[:2]):
                return child
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_linter_finds_nothing(tools: Path) -> None:
    finished = subprocess.run([tools / "hadolint", DOCKERFILE], capture_output=True, check=False)
    assert finished.returncode == 0, finished.stdout.decode()


def test_everything_that_is_copied_is_sent_to_the_engine_and_nothing_else() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        source
        for stage in parse_dockerfile(DOCKERFILE.read_text(encoding="utf-8"))
        for each in stage.instructions
        if each.keyword == "COPY" and "--from" not in each.text
        for source in each.words[:-1]
    }
    assert "*" in lines
    assert sent == copied


def test_it_is_nobody_in_particular_and_can_do_nothing_but_read(
    installation: Installation,
) -> None:
    script = "id -u; id -G; touch /data/a /tmp/a /opt/authsvc/a 2>&1; command -v gcc cc make"
    finished = _run(installation, "sh", "-c", script)
    lines = finished.stdout.splitlines()
    assert lines[:2] == ["10001", "10001"]
    assert len(lines) == 5
    assert all("Read-only file system" in line for line in lines[2:])


def test_it_knows_the_authorities_that_outbound_requests_trust(
    installation: Installation,
) -> None:
    script = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    finished = _run(installation, "/opt/authsvc/bin/python", "-I", "-c", script)
    assert int(finished.stdout) > 50


def test_only_what_the_lock_names_is_inside(installation: Installation) -> None:
    script = (
        "from importlib.metadata import distributions as d;"
        "print(*sorted(f'{x.name}=={x.version}'.lower().replace('_', '-') for x in d()))"
    )
    finished = _run(installation, "/opt/authsvc/bin/python", "-I", "-c", script)
    lock = (REPOSITORY / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    locked = {line.split()[0] for line in lock.splitlines() if "==" in line}
    installed = set(finished.stdout.split())
    assert "authsvc==0.1.0" in installed
    assert installed - {"authsvc==0.1.0"} <= locked
    assert not any(name.startswith(("pip==", "setuptools==")) for name in installed)


def test_without_settings_it_says_what_is_missing_and_does_not_start(
    installation: Installation,
) -> None:
    command = installation.engine.command(installation.image, ["authsvc", "serve"], {})
    finished = subprocess.run(
        command, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    assert finished.returncode == 1
    assert "AUTHSVC_ISSUER" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_it_migrates_serves_and_drains(installation: Installation, tmp_path: Path) -> None:
    assert _run(installation, "authsvc", "db", "upgrade").returncode == 0
    port, log = free_port(), tmp_path / "log"
    image = installation.image
    arguments = [word.replace("8000", str(port)) for word in image.stage.last("CMD").words]
    with installation.engine.running(image, arguments, installation.variables, log) as served:
        deadline = time.monotonic() + _PATIENCE
        while not _is_ready(port):
            assert time.monotonic() < deadline, log.read_text()
            assert served.poll() is None, log.read_text()
            time.sleep(0.05)
        check = image.stage.last("HEALTHCHECK").text.partition("CMD ")[2]
        words = [word.replace("8000", str(port)) for word in json.loads(check)]
        assert _run(installation, *words).returncode == 0
        server = _process_1(served)
        assert server.uids().real == 10001
        server.send_signal(signal.SIGTERM)
        served.wait(_PATIENCE)
    assert served.returncode in {0, 128 + signal.SIGTERM}, log.read_text()
    assert _run(installation, *words).returncode != 0


def test_its_worker_works_until_it_is_told_to_end(
    installation: Installation, tmp_path: Path
) -> None:
    assert _run(installation, "authsvc", "db", "upgrade").returncode == 0
    image, log = installation.image, tmp_path / "log"
    with installation.engine.running(image, ["jobs", "run"], installation.variables, log) as worker:
        deadline = time.monotonic() + _PATIENCE
        while "Working for" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            assert worker.poll() is None, log.read_text()
            time.sleep(0.05)
        _process_1(worker).send_signal(signal.SIGTERM)
        assert worker.wait(_PATIENCE) == 0, log.read_text()


def test_a_command_that_hangs_ends_by_sigterm_though_it_is_process_1(
    installation: Installation, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        variables = {name: value for name, value in installation.variables.items()
                     if not name.startswith("AUTHSVC_DATABASE_URL")}  # fmt: skip
        variables["AUTHSVC_DATABASE_URL"] = f"postgresql://a:b@127.0.0.1:{port}/authsvc"
        variables["AUTHSVC_DATABASE_TIMEOUT"] = "600"
        image, log = installation.image, tmp_path / "log"
        with installation.engine.running(image, ["db", "upgrade"], variables, log) as hanging:
            connection, _ = silent.accept()
            with connection:
                _process_1(hanging).send_signal(signal.SIGTERM)
                assert hanging.wait(10) == 128 + signal.SIGTERM, log.read_text()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
