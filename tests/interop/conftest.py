"""What the tests with Debian's and npm's clients share: one deployment."""

from collections.abc import Iterator

import pytest

from tests.conftest import MASTER_KEY
from tests.interop.behind_tls import Deployment, deploy
from tests.interop.person import Person
from tests.servers import PostgresServer, RedisServer


@pytest.fixture(scope="session")
def deployment(
    postgres_server: PostgresServer,
    postgres_template: str,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """authsvc behind a reverse proxy that speaks TLS, on PostgreSQL and Redis."""
    database_url = postgres_server.create_database(postgres_template)
    variables = {
        "AUTHSVC_DATABASE_URL": database_url,
        "AUTHSVC_REDIS_URL": redis_server.create_database(),
        "AUTHSVC_MASTER_KEY": MASTER_KEY,
    }
    with deploy(variables, tmp_path_factory.mktemp("deployment")) as running:
        yield running
    postgres_server.drop_database(database_url)


@pytest.fixture
def person(deployment: Deployment) -> Iterator[Person]:
    """The person at a fresh browser."""
    with deployment.person() as at_browser:
        yield at_browser
