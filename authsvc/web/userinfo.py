"""``GET`` and ``POST /userinfo`` (OpenID Connect Core §5.3)."""

from starlette.requests import Request
from starlette.responses import Response

from authsvc.oauth.userinfo import answer_userinfo
from authsvc.web.errors import NO_STORE
from authsvc.web.requests import bearer_token, server_of


async def userinfo(request: Request) -> Response:
    """Answer the claims about the person behind the access token."""
    answer = await answer_userinfo(server_of(request), await bearer_token(request))
    media_type = "application/jwt" if answer.is_jwt else "application/json"
    return Response(answer.content, media_type=media_type, headers=NO_STORE)
