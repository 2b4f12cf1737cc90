"""``authsvc tokens``."""

from dataclasses import dataclass
from typing import Any

import pytest

from authsvc.resources import Resources
from tests.cli.command import Cli, variables_of
from tests.cli.inside import Issued, run_inside, sign_in
from tests.conftest import Backend

METADATA = """
    {
        "redirect_uris": ["https://app.example/cb"],
        "grant_types": ["authorization_code", "refresh_token"]
    }
"""


@dataclass(frozen=True)
class Scene:
    """A person who signed in at a client."""

    cli: Cli
    user: dict[str, Any]
    issued: Issued

    def inspect(self, token: str) -> dict[str, Any]:
        document = self.cli.json("tokens", "inspect", "-", stdin=token + "\n")
        assert isinstance(document, dict)
        return document


@pytest.fixture
def scene(backend: Backend, any_cli: Cli) -> Scene:
    user = any_cli.json("users", "create", "ada", "--email", "ada@example.org")
    any_cli.json("clients", "create", "--client-id", "web", "--metadata", "-", stdin=METADATA)

    async def work(resources: Resources) -> Issued:
        return await sign_in(resources, user["id"], "web")

    assert any_cli.variables == variables_of(backend)
    return Scene(any_cli, user, run_inside(backend.settings(), work))


def test_good_tokens_are_active_and_say_what_they_are(scene: Scene) -> None:
    access = scene.inspect(scene.issued.access_token)
    assert (access["active"], access["kind"], access["reason"]) == (True, "access_token", None)
    assert access["header"]["typ"] == "at+jwt"
    assert access["claims"]["sub"] == scene.user["id"]
    assert access["username"] == "ada"
    refresh = scene.inspect(scene.issued.refresh_token)
    assert (refresh["active"], refresh["kind"]) == (True, "refresh_token")
    assert refresh["client_id"] == "web"
    given = scene.cli.json("tokens", "inspect", scene.issued.access_token)
    assert given == access


def test_a_revoked_access_token_dies_alone(scene: Scene) -> None:
    for _ in range(2):
        revoked = scene.cli.json(
            "tokens", "revoke", "--token", "-", stdin=scene.issued.access_token
        )
        assert (revoked["revoked"], revoked["client_id"]) == ("access_token", "web")
    access = scene.inspect(scene.issued.access_token)
    assert access["active"] is False
    assert "revoked" in access["reason"]
    assert scene.inspect(scene.issued.refresh_token)["active"] is True


def test_a_revoked_refresh_token_takes_its_family_along(scene: Scene) -> None:
    (scene.cli.folder / "token").write_text(scene.issued.refresh_token)
    for _ in range(2):
        revoked = scene.cli.json("tokens", "revoke", "--token", "token")
        assert (revoked["revoked"], revoked["sub"]) == ("refresh_token", scene.user["id"])
    assert scene.inspect(scene.issued.refresh_token)["reason"] == "its family was revoked"
    assert scene.inspect(scene.issued.access_token)["active"] is False


@pytest.mark.parametrize("selector", ["user", "client", "session"])
def test_all_of_a_user_a_client_or_a_session_can_be_revoked(scene: Scene, selector: str) -> None:
    named = {"user": "ada", "client": "web", "session": scene.issued.session_id}[selector]
    revoked = scene.cli.json("tokens", "revoke", f"--{selector}", named)
    assert revoked["revoked"] == selector
    assert scene.inspect(scene.issued.access_token)["active"] is False
    assert scene.inspect(scene.issued.refresh_token)["active"] is False


def test_everything_can_be_revoked(scene: Scene) -> None:
    scene.cli.json("clients", "initial-access-token")
    revoked = {
        "revoked": "everything", "people": 1, "clients": 1, "sessions": 1, "families": 1,
        "initial_access_tokens": 1, "password_reset_links": 0,
    }  # fmt: skip
    nothing = dict.fromkeys(("people", "sessions", "families", "initial_access_tokens"), 0)

    assert scene.cli.json("tokens", "revoke", "--everything") == revoked
    assert scene.inspect(scene.issued.access_token)["active"] is False
    assert scene.inspect(scene.issued.refresh_token)["active"] is False
    assert scene.cli.json("tokens", "revoke", "--everything") == {**revoked, **nothing}
    said = scene.cli.run("tokens", "revoke", "--everything").output
    assert said.startswith("Every token of 1 clients is revoked. 0 people were signed in;")
    events = scene.cli.json("audit", "list", "--event", "tokens.everything_revoked")
    assert len(events) == 3
    assert events[0]["actor"].startswith("cli:")


def test_exactly_one_selector_is_wanted(cli: Cli) -> None:
    cli.run("tokens", "revoke").refusal(2)
    cli.run("tokens", "revoke", "--everything", "--client", "web").refusal(2)
    cli.run("tokens", "revoke", "--user", "ada", "--client", "web").refusal(2)


def test_what_is_not_there_can_not_be_revoked(cli: Cli) -> None:
    for selector, named, reason in (
        ("--user", "ada", "there is no such user"),
        ("--client", "web", "there is no such client"),
        ("--session", "1", "there is no such session, or it has ended"),
    ):
        assert cli.run("tokens", "revoke", selector, named).refusal() == reason
    for token, reason in (
        ("", "standard input holds no token"),
        ("opaque", "there is no such token"),
        ("a.b.c", "the access token is invalid (malformed): `authsvc tokens inspect` says more"),
        ("x" * 10_000, "there is no such token"),
    ):
        refused = cli.run("tokens", "revoke", "--token", "-", stdin=token)
        assert refused.refusal() == reason


def test_a_token_of_a_revoked_key_says_so(scene: Scene) -> None:
    kid = scene.inspect(scene.issued.access_token)["header"]["kid"]
    scene.cli.json("keys", "revoke", kid)
    access = scene.inspect(scene.issued.access_token)
    assert (access["active"], access["reason"]) == (False, "its signing key is revoked")
    assert "claims" not in access
    assert access["unverified_claims"]["sub"] == scene.user["id"]


def test_what_anybody_could_have_written_is_not_called_claims(scene: Scene) -> None:
    head, body, signature = scene.issued.access_token.split(".")
    forged = f"{head}.{body}.{signature[::-1]}"
    for token in (forged, "eyJhbGciOiJub25lIn0.e30.", "a.b.c", "nothing", "é"):
        document = scene.inspect(token)
        assert document["active"] is False
        assert document["reason"]
        assert "claims" not in document


def test_a_token_may_begin_with_a_dash(cli: Cli) -> None:
    assert cli.json("tokens", "inspect", "-x_y")["kind"] == "unknown"


def test_a_token_of_a_disabled_person_is_not_active(scene: Scene) -> None:
    scene.cli.json("users", "disable", "ada")
    assert scene.inspect(scene.issued.access_token)["active"] is False
