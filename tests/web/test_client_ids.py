"""Which identifiers a client may have."""

import pytest

from authsvc.oauth.client_administration import check_client_id
from authsvc.protocol.errors import InvalidRequest


@pytest.mark.parametrize(
    "client_id",
    [
        pytest.param("01a1fd47-ddfa-77cb-8ee3-24d24198c442", id="a person's identifier"),
        pytest.param("a:b", id="where HTTP Basic ends the name"),
        pytest.param("a,b", id="a comma"),
        pytest.param("a b", id="a space"),
        pytest.param("", id="nothing"),
        pytest.param("a" * 201, id="too long"),
        pytest.param("ä", id="not ASCII"),
        pytest.param("a\x00", id="a NUL"),
    ],
)
def test_what_could_be_mistaken_for_something_else_is_refused(client_id: str) -> None:
    with pytest.raises(InvalidRequest):
        check_client_id(client_id)
