"""``GET`` and ``POST /userinfo`` (OpenID Connect Core §5.3)."""

from starlette.requests import Request
from starlette.responses import Response

from authsvc.oauth.userinfo import answer_userinfo
from authsvc.web.errors import NO_STORE
from authsvc.web.requests import FORM, bearer_token, form_parameters, server_of


async def userinfo(request: Request) -> Response:
    """Answer the claims about the person behind the access token."""
    form = None
    if request.method == "POST" and FORM in request.headers.get("content-type", ""):
        form = await form_parameters(request)
    answer = await answer_userinfo(server_of(request), bearer_token(request, form))
    media_type = "application/jwt" if answer.is_jwt else "application/json"
    return Response(answer.content, media_type=media_type, headers=NO_STORE)
