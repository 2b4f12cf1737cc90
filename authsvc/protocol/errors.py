"""Every error of the service: its code and its status are fixed together.

``description`` is public and never holds what the caller sent; ``detail`` goes to
the log alone. They are raised once and become a response in ``web.errors`` alone.
"""

from typing import ClassVar

from authlib.oauth2 import OAuth2Error


class OAuthError(OAuth2Error):
    """An answer of the protocol (RFC 6749 §5.2 and §4.1.2.1).

    Authlib's base class holds the error to the characters the RFC allows.
    """

    error: ClassVar[str]
    status_code: ClassVar[int] = 400

    def __init__(
        self,
        description: str,
        *,
        detail: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(description)
        self.description: str = description
        self.detail = detail
        self.retry_after = retry_after


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated or malformed (RFC 6749 §5.2)."""

    error = "invalid_request"


class InvalidClient(OAuthError):
    """Client authentication failed; unknown client and wrong secret are one answer (§5.2)."""

    error = "invalid_client"
    status_code = 401


class InvalidGrant(OAuthError):
    """A code or refresh token is invalid, expired, revoked or another client's (§5.2)."""

    error = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """The client may not use this grant or response type (§5.2)."""

    error = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """No such grant here (§5.2)."""

    error = "unsupported_grant_type"


class UnsupportedResponseType(OAuthError):
    """No such response type here (§4.1.2.1)."""

    error = "unsupported_response_type"


class InvalidScope(OAuthError):
    """The scope is malformed or more than the client may ask for (§5.2)."""

    error = "invalid_scope"


class InvalidTarget(OAuthError):
    """The resource is unknown or malformed (RFC 8707 §2)."""

    error = "invalid_target"


class AccessDenied(OAuthError):
    """The person said no (§4.1.2.1, RFC 8628 §3.5)."""

    error = "access_denied"


class AuthorizationPending(OAuthError):
    """The person has not answered the device's request yet (RFC 8628 §3.5)."""

    error = "authorization_pending"


class SlowDown(OAuthError):
    """As pending, and the device asked too soon: its interval has grown (RFC 8628 §3.5)."""

    error = "slow_down"


class ExpiredToken(OAuthError):
    """The device code has expired: the device may begin anew (RFC 8628 §3.5)."""

    error = "expired_token"


class LoginRequired(OAuthError):
    """``prompt=none`` and nobody is signed in (OpenID Connect Core §3.1.2.6)."""

    error = "login_required"


class ConsentRequired(OAuthError):
    """``prompt=none`` and consent is missing (OpenID Connect Core §3.1.2.6)."""

    error = "consent_required"


class UnmetAuthenticationRequirements(OAuthError):
    """An essential ``acr`` that nobody can reach here (Unmet Authentication Requirements §2)."""

    error = "unmet_authentication_requirements"


class InvalidRequestObject(OAuthError):
    """A request object is malformed, forged or not allowed (RFC 9101 §7)."""

    error = "invalid_request_object"


class InvalidRequestUri(OAuthError):
    """A ``request_uri`` is not registered, or holds no request object (RFC 9101 §7)."""

    error = "invalid_request_uri"


class RegistrationNotSupported(OAuthError):
    """The ``registration`` parameter is not supported (OpenID Connect Core §3.1.2.6)."""

    error = "registration_not_supported"


class InvalidRedirectUri(OAuthError):
    """A redirect URI in client metadata is not acceptable (RFC 7591 §3.2.2)."""

    error = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """A value in client metadata is not acceptable (RFC 7591 §3.2.2)."""

    error = "invalid_client_metadata"


class InvalidSoftwareStatement(OAuthError):
    """The software statement is malformed, or nobody who is trusted signed it (RFC 7591 §3.2.2)."""

    error = "invalid_software_statement"


class UnapprovedSoftwareStatement(OAuthError):
    """The software statement is of an issuer that is not trusted here (RFC 7591 §3.2.2)."""

    error = "unapproved_software_statement"


class InvalidToken(OAuthError):
    """The access token is expired, revoked, malformed or not for here (RFC 6750 §3.1)."""

    error = "invalid_token"
    status_code = 401


class InvalidTokenRequest(InvalidRequest):
    """The access token is sent in a wrong way, or in two (RFC 6750 §3.1)."""


class MissingToken(InvalidToken):
    """No access token at all: the challenge carries no error code (RFC 6750 §3.1)."""


class InsufficientScope(OAuthError):
    """The access token does not reach far enough (RFC 6750 §3.1)."""

    error = "insufficient_scope"
    status_code = 403


class NotFound(OAuthError):
    """No such thing."""

    error = "not_found"
    status_code = 404


class MethodNotAllowed(OAuthError):
    """The endpoint does not answer this HTTP method."""

    error = "method_not_allowed"
    status_code = 405


class Conflict(OAuthError):
    """It clashes with what is there."""

    error = "conflict"
    status_code = 409


class PayloadTooLarge(OAuthError):
    """The body is larger than any request needs to be."""

    error = "invalid_request"
    status_code = 413


class UnsupportedMediaType(OAuthError):
    """The body is of a type the endpoint does not read."""

    error = "invalid_request"
    status_code = 415


class TooManyRequests(OAuthError):
    """A limit was reached; ``retry_after`` seconds help."""

    error = "temporarily_unavailable"
    status_code = 429


class TemporarilyUnavailable(OAuthError):
    """A dependency is away or a queue is full; ``retry_after`` seconds help (§4.1.2.1)."""

    error = "temporarily_unavailable"
    status_code = 503
