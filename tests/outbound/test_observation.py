"""What the guarded client tells of its requests, and what it does not."""

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from tests.outbound.open_client import failure_of, open_outbound
from tests.web_servers import open_web_server


def _count(method: str, outcome: str) -> float:
    labels = {"method": method, "outcome": outcome}
    return REGISTRY.get_sample_value("authsvc_outbound_requests_total", labels) or 0


async def test_a_failure_is_counted_and_logged_without_what_the_url_carries() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/there", 302, {"Location": "/gone?secret=2"})
        before = _count("GET", "failed")
        with capture_logs() as logs:
            await failure_of(outbound, f"{server.url}/there?secret=1")
        assert logs == [
            {
                "event": "outbound_failed",
                "log_level": "warning",
                "host": f"localhost:{server.port}",
                "reason": "the host answered 404",
                "module": "authsvc.outbound.client",
            }
        ]
        assert _count("GET", "failed") == before + 1


async def test_outcomes_are_counted() -> None:
    async with open_web_server() as server, open_outbound(ca_file=server.ca_file) as outbound:
        server.respond("/", headers={"Cache-Control": "max-age=60"}, body=b"x")
        counted = [("GET", "ok"), ("GET", "cached"), ("GET", "refused"), ("POST", "ok")]
        before = [_count(*labels) for labels in counted]
        await outbound.get(server.url)
        await outbound.get(server.url)
        await failure_of(outbound, "ftp://localhost/")
        await outbound.post_form(server.url, {})
        assert [_count(*labels) for labels in counted] == [number + 1 for number in before]
