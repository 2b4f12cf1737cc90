"""What the tests of image, compose file and chart share: tools, and the image itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import MASTER_KEY
from tests.deploy.dockerfile import DOCKERFILE, parse_dockerfile
from tests.deploy.engine import Engine, Image
from tests.servers import PostgresServer, RedisServer

SECRETS = "/run/secrets/authsvc"


@dataclass(frozen=True)
class Installation:
    """An image beside the servers it needs; ``variables`` are those of production."""

    engine: Engine
    image: Image
    variables: dict[str, str]


@pytest.fixture(scope="session")
def installation(
    postgres_server: PostgresServer,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    """The image, built, read-only and with its secrets as files; the database is empty."""
    database_url = postgres_server.create_database()
    secrets = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_server.create_database(),
        "MASTER_KEY": MASTER_KEY,
    }
    with Engine(tmp_path_factory.mktemp("engine")) as engine:
        image = engine.build(parse_dockerfile(DOCKERFILE.read_text(encoding="utf-8")))
        for name, value in secrets.items():
            engine.add_file(image, f"{SECRETS}/{name}", value, "0440")
        engine.seal(image)
        files = {f"AUTHSVC_{name}_FILE": f"{SECRETS}/{name}" for name in secrets}
        yield Installation(engine, image, {"AUTHSVC_ISSUER": "https://auth.example", **files})
    postgres_server.drop_database(database_url)


@pytest.fixture(scope="session")
def tools() -> Path:
    """Where tests/deploy/install puts the programs."""
    return Path(__file__).parent / ".tools" / "bin"
