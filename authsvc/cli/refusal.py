"""Why a command was not done, as one line."""

from authsvc.config import ConfigError
from authsvc.master_key import SealError
from authsvc.protocol.errors import InvalidToken, OAuthError, TemporarilyUnavailable


class Refused(Exception):
    """The command can not be done; the message is one line for the operator."""


REFUSALS = (Refused, ConfigError, OAuthError, SealError, OSError)
"""What a command may raise: exit code 1 and one line on standard error."""


def explain(error: BaseException) -> str:
    """Return one line about ``error``; what nobody expected shows its kind alone.

    The text of an unexpected error may hold an SQL statement and its values.
    """
    match error:
        case TemporarilyUnavailable(detail=str(detail)):
            text = f"{error.description} ({detail}): `authsvc doctor` says more"
        case InvalidToken(detail=str(detail)):
            text = f"{error.description} ({detail}): `authsvc tokens inspect` says more"
        case OAuthError():
            text = error.description
        case Refused() | ConfigError() | SealError():
            text = str(error)
        case OSError(filename=str(name)):
            text = f"{name}: {error.strerror}"
        case OSError():
            text = error.strerror or type(error).__name__
        case _:
            text = (
                f"this should not have happened ({type(error).__name__}); "
                "AUTHSVC_LOG_LEVEL=debug shows where it did"
            )
    return _decapitalized(" ".join(text.split()))


def _decapitalized(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
