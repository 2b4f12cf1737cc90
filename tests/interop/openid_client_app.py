"""Runs the app of ``openid_client/``, and plays the person whom it needs."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.interop.behind_tls import Deployment
from tests.interop.person import Person

_FOLDER = Path(__file__).parent / "openid_client"


def run_app(
    deployment: Deployment,
    registered: Mapping[str, Any],
    steps: Sequence[str],
    *,
    person: Person | None = None,
    **given: Any,
) -> Any:
    """Run ``steps`` of the app as the client ``registered``; return what each found.

    ``person`` is where the app sends browsers to. Raises RuntimeError with the app's
    own words when a step fails.
    """
    document = {"issuer": deployment.issuer, "registered": registered, "steps": steps, **given}
    return _talk(deployment, document, registered, person)


def register_and_run_app(
    deployment: Deployment,
    registration: Mapping[str, Any],
    steps: Sequence[str],
    *,
    person: Person,
    **given: Any,
) -> Any:
    """Let the app register itself first; see ``run_app``."""
    document = {"issuer": deployment.issuer, "registration": registration, "steps": steps, **given}
    return _talk(deployment, document, registration, person)


def _talk(
    deployment: Deployment,
    document: Mapping[str, Any],
    metadata: Mapping[str, Any],
    person: Person | None,
) -> Any:
    """Run the app to its end, and do what it asks the person for."""
    app = subprocess.Popen(
        ["node", "main.mjs"],
        cwd=_FOLDER,
        env={
            **os.environ,
            "NODE_EXTRA_CA_CERTS": str(deployment.ca_file),
            # The proxy listens on IPv4; localhost may be ::1 first.
            "NODE_OPTIONS": "--dns-result-order=ipv4first",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with app:
        assert app.stdin is not None
        assert app.stdout is not None
        assert app.stderr is not None
        try:
            print(json.dumps(document), file=app.stdin, flush=True)
            for line in app.stdout:
                said = json.loads(line)
                if "done" in said:
                    return said["done"]
                assert person is not None, "the app needs a person"
                answer = _answer(person, said, metadata)
                print(json.dumps(answer), file=app.stdin, flush=True)
            raise RuntimeError(app.stderr.read())
        finally:
            app.kill()


def _answer(person: Person, said: Mapping[str, str], metadata: Mapping[str, Any]) -> dict[str, str]:
    """Go where the app sends the person; return the request that came back to it, if any."""
    if "open" in said:
        person.open(said["open"])
        return {}
    redirect_uri = httpx.URL(metadata["redirect_uris"][0])
    request = person.sent_to(said["visit"], until=str(redirect_uri.join("/")))
    return {
        "method": request.method,
        "url": str(request.url),
        "body": request.read().decode(),
    }
