"""The chart by its tools: helm, and kubeconform with the schemas of several Kubernetes."""

import subprocess
from pathlib import Path

import pytest
import yaml

from authsvc.app import _DRAIN_SECONDS
from tests.deploy.chart import (
    CHART,
    TOOLS,
    VALUES,
    Manifest,
    helm,
    pod_of,
    render,
    render_text,
    values_named,
)
from tests.deploy.kubernetes_schemas import VERSIONS

pytestmark = pytest.mark.deploy
_DATABASE_MAINTENANCE_SECONDS = 300
"""For which pods that start wait for the database, rather than be restarted again and again."""

each_values = pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)


def _named(manifests: list[Manifest], kind: str, suffix: str = "") -> Manifest:
    """Return the only manifest of its kind with this end of its name."""
    (found,) = [
        each
        for each in manifests
        if each["kind"] == kind and each["metadata"]["name"] == f"release-authsvc{suffix}"
    ]
    return found


@each_values
def test_the_chart_is_free_of_faults_and_warnings(values: Path) -> None:
    finished = helm("lint", "--strict", str(CHART), "--values", str(values))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "[WARNING]" not in finished.stdout


def _kubeconform(manifests: str, version: str) -> subprocess.CompletedProcess[str]:
    locations = [
        f"{TOOLS}/schemas/{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
        for folder in (version, "crds")
    ]
    options = [word for each in locations for word in ("-schema-location", each)]
    return subprocess.run(
        [TOOLS / "bin" / "kubeconform", "-strict", "-summary", *options],
        input=manifests,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@each_values
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(values: Path, version: str) -> None:
    finished = _kubeconform(render_text(values, "--kube-version", version), version)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "Errors: 0, Skipped: 0" in finished.stdout


@pytest.mark.parametrize(
    "field", ["topologyKey:", "jobLabel:", "readOnlyRootFilesystem:", "averageUtilization:"]
)
def test_a_field_that_kubernetes_does_not_know_is_noticed(field: str) -> None:
    manifests = render_text(values_named("everything"))
    assert field in manifests
    finished = _kubeconform(manifests.replace(field, f"x{field}"), VERSIONS[-1])
    assert finished.returncode == 1
    assert "Errors: 0" in finished.stdout


def test_with_everything_on_each_kind_is_there() -> None:
    kinds = {each["kind"] for each in render(values_named("everything"))}
    assert kinds == {
        "ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job",
        "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "PrometheusRule", "Service",
        "ServiceAccount", "ServiceMonitor",
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        "issuer=http://auth.example.com", "issuer=", "secret.name=", "image.repository=",
        "replica=3", "worker.replica=3", "settings.AUTHSVC_MASTER_KEY=x",
        "settings.AUTHSVC_DATABASE_URL=x", "settings.AUTHSVC_JOBS=on", "settings.PATH=x",
        "networkPolicy.enabled=true", "autoscaling.maxReplicas=0", "keyRotation.schedule=monthly",
        "extraEnv[0].name=AUTHSVC_ISSUER", "image.digest=latest", "serviceMonitor.interval=soon",
        "autoscaling.targetCPUUtilizationPercentage=101", "settings.AUTHSVC_SMTP_URL=x",
        "settings.AUTHSVC_MAIL_FROM=x", "networkPolicy.smtp.port=0", "mail.url=x",
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(wrong: str) -> None:
    with pytest.raises(RuntimeError, match="don't meet the specifications of the schema"):
        render(values_named("minimal"), "--set", wrong)


@each_values
def test_every_pod_may_do_nothing_but_what_it_is_for(values: Path) -> None:
    pods = [pod for each in render(values) if (pod := pod_of(each))]
    assert pods
    for pod in pods:
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            secret = [name for name in container["env"] if "valueFrom" in name]
            assert not secret


@each_values
def test_secrets_are_referred_to_and_never_made(values: Path) -> None:
    manifests = render(values)
    assert not [each for each in manifests if each["kind"] == "Secret"]
    for each in manifests:
        if pod := pod_of(each):
            (volume,) = [v["secret"] for v in pod["spec"]["volumes"] if v["name"] == "secrets"]
            assert volume["secretName"] == "authsvc"
            assert volume["defaultMode"] == 0o440


def test_mail_has_a_secret_and_a_way_out_where_it_is_set() -> None:
    for name, wanted in (("everything", True), ("minimal", False)):
        pods = [pod["spec"] for each in render(values_named(name)) if (pod := pod_of(each))]
        assert pods
        for spec in pods:
            names = {each["name"] for each in spec["containers"][0]["env"]}
            (volume,) = [v["secret"] for v in spec["volumes"] if v["name"] == "secrets"]
            assert ("AUTHSVC_SMTP_URL_FILE" in names) is wanted
            assert ({"key": "d", "path": "smtp-url"} in volume["items"]) is wanted
    policy = _named(render(values_named("everything")), "NetworkPolicy")
    assert {
        "ports": [{"port": 465, "protocol": "TCP"}],
        "to": [{"ipBlock": {"cidr": "10.1.2.4/32"}}],
    } in policy["spec"]["egress"]


def test_a_pod_has_longer_to_end_than_the_server_drains() -> None:
    spec = pod_of(_named(render(values_named("minimal")), "Deployment"))
    assert spec is not None
    (container,) = spec["spec"]["containers"]
    (configuration,) = [m for m in render(values_named("minimal")) if m["kind"] == "ConfigMap"]
    delay = int(configuration["data"]["AUTHSVC_DRAIN_DELAY"])
    assert delay > 0
    assert {"configMapRef": {"name": configuration["metadata"]["name"]}} in container["envFrom"]
    assert spec["spec"]["terminationGracePeriodSeconds"] > _DRAIN_SECONDS + delay


def test_the_probes_ask_what_each_is_for() -> None:
    spec = pod_of(_named(render(values_named("minimal")), "Deployment"))
    assert spec is not None
    (container,) = spec["spec"]["containers"]
    asked = {name: container[name]["httpGet"]["path"] for name in container if "Probe" in name}
    # A pod begins when it can serve all. A database that is away then neither restarts the pods
    # nor takes them all away: what they have in memory is served.
    assert asked == {
        "startupProbe": "/readyz", "livenessProbe": "/healthz", "readinessProbe": "/healthz",
    }  # fmt: skip
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= _DATABASE_MAINTENANCE_SECONDS


def test_only_what_serves_gets_requests_and_the_budget() -> None:
    manifests = render(values_named("everything"))
    serving = pod_of(_named(manifests, "Deployment"))
    others = [_named(manifests, "Deployment", "-worker"), _named(manifests, "Job", "-migration")]
    others.append(_named(manifests, "CronJob", "-key-rotation"))
    assert serving is not None
    selectors = [
        _named(manifests, "Service")["spec"]["selector"],
        _named(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        _named(manifests, "Deployment")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= serving["metadata"]["labels"].items()
        for other in others:
            pod = pod_of(other)
            assert pod is not None
            assert not selector.items() <= pod["metadata"]["labels"].items()


def test_the_network_policy_covers_every_pod_and_lets_nobody_in_by_itself() -> None:
    manifests = render(values_named("everything"))
    policy = _named(manifests, "NetworkPolicy")["spec"]
    for each in manifests:
        if pod := pod_of(each):
            selector = policy["podSelector"]["matchLabels"]
            assert selector.items() <= pod["metadata"]["labels"].items()
    (ingress,) = policy["ingress"]
    assert len(ingress["from"]) == 2
    assert [each["port"] for each in ingress["ports"]] == ["http", "metrics"]
    assert all(rule.get("to") or rule["ports"][0]["port"] == 53 for rule in policy["egress"])


def test_the_jobs_run_in_the_worker_or_else_in_the_servers() -> None:
    def jobs(name: str) -> list[str]:
        pod = pod_of(_named(render(values_named(name)), "Deployment"))
        assert pod is not None
        environment = pod["spec"]["containers"][0]["env"]
        return [each["value"] for each in environment if each["name"] == "AUTHSVC_JOBS"]

    assert jobs("minimal") == ["off"]
    assert jobs("single") == []


def test_the_worker_is_scraped_and_probed_where_it_listens() -> None:
    manifests = render(values_named("everything"))
    pod = pod_of(_named(manifests, "Deployment", "-worker"))
    assert pod is not None
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    host, number = "0.0.0.0", str(port["containerPort"])  # of the pod
    assert container["args"] == ["jobs", "run", "--metrics-host", host, "--metrics-port", number]
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert "readinessProbe" not in container
    monitor = _named(manifests, "PodMonitor", "-worker")
    servers = _named(manifests, "ServiceMonitor")
    assert monitor["metadata"]["labels"] == servers["metadata"]["labels"]
    assert monitor["spec"]["jobLabel"] == servers["spec"]["jobLabel"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (of_servers,) = servers["spec"]["endpoints"]
    assert endpoint == {**of_servers, "port": port["name"]}
    for each in manifests:
        if other := pod_of(each):
            selected = monitor["spec"]["selector"]["matchLabels"].items()
            assert (selected <= other["metadata"]["labels"].items()) is (other == pod)


def test_where_the_servers_run_the_jobs_there_is_no_worker_to_scrape() -> None:
    switches = ("--set", "worker.enabled=false")
    manifests = render(values_named("everything"), *switches)
    assert "PodMonitor" not in {each["kind"] for each in manifests}
    (ingress,) = _named(manifests, "NetworkPolicy")["spec"]["ingress"]
    assert [each["port"] for each in ingress["ports"]] == ["http"]


def test_with_autoscaling_an_upgrade_leaves_the_number_of_replicas_alone() -> None:
    assert "replicas" not in _named(render(values_named("everything")), "Deployment")["spec"]
    assert _named(render(values_named("minimal")), "Deployment")["spec"]["replicas"] == 3


def test_prometheus_understands_the_rules_that_the_chart_makes(tmp_path: Path) -> None:
    manifest = _named(render(values_named("everything")), "PrometheusRule")
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": manifest["spec"]["groups"]}))
    finished = subprocess.run(
        ["promtool", "check", "rules", rules], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    source = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    assert manifest["spec"]["groups"] == source["groups"]
