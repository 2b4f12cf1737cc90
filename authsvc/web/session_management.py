"""``GET /session/check``: the frame that clients' pages ask (Session Management §3.3)."""

from starlette.requests import Request
from starlette.responses import Response

from authsvc.web.people import PeopleEdge


class SessionManagementEndpoint:
    """The ``check_session_iframe``."""

    def __init__(self, edge: PeopleEdge) -> None:
        self._edge = edge

    async def check(self, _request: Request) -> Response:
        """Answer the frame, the same for everybody: its script reads the browser's state."""
        return self._edge.pages.render_for_frames("check_session.html")
