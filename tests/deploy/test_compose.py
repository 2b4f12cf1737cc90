"""compose.yaml by the checker of its specification, and the files it mounts by their programs."""

import base64
import re
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from authsvc.app import _DRAIN_SECONDS
from tests.deploy.chart import CHART, TOOLS
from tests.deploy.dockerfile import REPOSITORY

pytestmark = pytest.mark.deploy

_FOLDER = REPOSITORY / "deploy" / "compose"
_ONE_SHOT = {"migration"}


def _load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """Every service, with what it merges in."""
    found: dict[str, dict[str, Any]] = _load(REPOSITORY / "compose.yaml")["services"]
    return found


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder of a fresh set of secrets."""
    shutil.copy(_FOLDER / "make-secrets", tmp_path)
    subprocess.run([tmp_path / "make-secrets"], check=True)
    return tmp_path / "secrets"


def test_the_specification_knows_everything_in_it() -> None:
    finished = subprocess.run(
        [TOOLS / "bin" / "compose-spec", REPOSITORY / "compose.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "ipv4_address: 172.30.84.2" in finished.stdout


def test_what_it_mounts_is_there(services: dict[str, dict[str, Any]]) -> None:
    sources = [
        volume["source"]
        for service in services.values()
        for volume in service.get("volumes", [])
        if isinstance(volume, dict)
    ]
    assert len(sources) >= 5
    missing = [source for source in sources if not (REPOSITORY / source).exists()]
    assert not missing


def test_no_service_can_do_more_than_it_must(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service
        assert "cap_add" not in service
        # The image of authsvc says for itself who it is.
        assert "user" in service or service["image"].startswith("authsvc:"), name
        assert not service.get("user", "1").startswith(("0", "root")), name


def test_every_image_is_pinned_to_a_version(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"]), name


def test_each_service_says_whether_it_is_well(services: dict[str, dict[str, Any]]) -> None:
    # The image brings the check of the one that serves.
    without = {name for name, service in services.items() if "test" not in
               service.get("healthcheck", {})}  # fmt: skip
    assert without == {"authsvc", *_ONE_SHOT}


def test_no_secret_is_in_it_and_each_is_a_file(services: dict[str, dict[str, Any]]) -> None:
    text = (REPOSITORY / "compose.yaml").read_text(encoding="utf-8")
    made = _load(REPOSITORY / "compose.yaml")["secrets"]
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|SECRET|_URL|TOKEN", variable):
                assert str(value).startswith("/run/secrets/"), (name, variable)
        assert set(service.get("secrets", [])) <= set(made)
    assert "://authsvc:" not in text
    assert all(each["file"].startswith("./deploy/compose/secrets/") for each in made.values())


def test_who_meets_whom(services: dict[str, dict[str, Any]]) -> None:
    document = _load(REPOSITORY / "compose.yaml")
    internal = {name for name, each in document["networks"].items() if each.get("internal")}
    joined = {name: set(service["networks"]) for name, service in services.items()}
    for store in ("postgres", "redis"):
        assert joined[store] == {"data"}
        assert "data" in internal
    assert {name for name in joined if "data" in joined[name]} == {
        "authsvc", "jobs", "migration", "postgres", "redis",
    }  # fmt: skip
    published = {name for name, service in services.items() if "ports" in service}
    assert published == {"proxy", "mail", "grafana"}
    for name in published:
        assert all("127.0.0.1:" in port for port in services[name]["ports"])


def test_three_replicas_trust_the_proxy_alone_and_leave_jobs_to_the_worker(
    services: dict[str, dict[str, Any]],
) -> None:
    served = services["authsvc"]
    assert served["deploy"]["replicas"] == 3
    proxy = services["proxy"]["networks"]["serving"]["ipv4_address"]
    assert served["environment"]["AUTHSVC_TRUSTED_PROXIES"] == proxy
    assert served["environment"]["AUTHSVC_JOBS"] == "off"
    assert "AUTHSVC_JOBS" not in services["jobs"]["environment"]
    assert int(served["stop_grace_period"].removesuffix("s")) > _DRAIN_SECONDS


def test_the_command_makes_every_secret_that_is_mounted(secrets: Path) -> None:
    wanted = {Path(each["file"]).name for each in
              _load(REPOSITORY / "compose.yaml")["secrets"].values()}  # fmt: skip
    assert {path.name for path in secrets.iterdir()} == wanted
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o444}
    assert len(base64.urlsafe_b64decode((secrets / "master-key").read_text() + "=")) == 32
    password = (secrets / "postgres-password").read_text().strip()
    assert password in (secrets / "database-url").read_text()
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(secrets / "proxy-certificate")


def test_making_the_secrets_again_changes_none(secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    subprocess.run([secrets.parent / "make-secrets"], check=True)
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before


def test_git_and_the_engine_never_see_the_secrets() -> None:
    path = "deploy/compose/secrets/master-key"
    ignored = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=REPOSITORY, check=False)
    assert ignored.returncode == 0
    assert "*" in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_prometheus_scrapes_servers_and_worker_as_one_job(
    services: dict[str, dict[str, Any]],
) -> None:
    (job,) = [
        each
        for each in _load(_FOLDER / "prometheus.yml")["scrape_configs"]
        if each["job_name"] == "authsvc"
    ]
    asked = {name: each["port"] for each in job["dns_sd_configs"] for name in each["names"]}
    assert asked == {"authsvc": 8000, "jobs": 8001}
    worker = services["jobs"]
    options = worker["command"][2:]
    assert dict(zip(options[::2], options[1::2], strict=True)) == {
        "--metrics-host": "0.0.0.0",  # of the container
        "--metrics-port": "8001",
    }
    assert "ports" not in worker
    assert "8001" in worker["healthcheck"]["test"][-1]
    for name in asked:
        assert set(services[name]["networks"]) & set(services["prometheus"]["networks"]), name


def test_prometheus_understands_its_file_and_the_rules(tmp_path: Path) -> None:
    shutil.copy(_FOLDER / "prometheus.yml", tmp_path)
    (tmp_path / "rules").mkdir()
    shutil.copy(REPOSITORY / "monitoring" / "alerts.yaml", tmp_path / "rules")
    finished = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "1 rule files found" in finished.stdout


def test_the_rules_of_the_chart_are_those_of_the_folder_monitoring() -> None:
    copy = CHART / "files" / "alerts.yaml"
    assert copy.read_bytes() == (REPOSITORY / "monitoring" / "alerts.yaml").read_bytes()
