"""What people are told by mail: subjects and texts, as plain templates."""

from dataclasses import dataclass
from string import Template
from typing import Final, Literal

Notice = Literal["password_changed", "email_changed"]


@dataclass(frozen=True, slots=True)
class MailText:
    """A subject, and a text with the names of what is put into it."""

    subject: str
    text: Template


_NOTICES: Final[dict[Notice, MailText]] = {
    "password_changed": MailText(
        "Your password was changed",
        Template(
            "Hello,\n\n"
            "the password of your account was changed.\n\n"
            "Account: $username\n"
            "At:      $issuer\n"
            "When:    $at\n\n"
            "You are signed out everywhere, and sign in again with the new password.\n\n"
            "If neither you nor somebody in charge of your account did this, tell them at once.\n"
        ),
    ),
    "email_changed": MailText(
        "Your mail address was changed",
        Template(
            "Hello,\n\n"
            "this mail address does not belong to your account any more.\n\n"
            "Account: $username\n"
            "At:      $issuer\n"
            "When:    $at\n\n"
            "This is the last message that it gets. If neither you nor somebody in charge of\n"
            "your account did this, tell them at once.\n"
        ),
    ),
}


def write_notice(notice: Notice, *, username: str, issuer: str, at: str) -> tuple[str, str]:
    """Return the subject and the text of a notice."""
    found = _NOTICES[notice]
    return found.subject, found.text.substitute(username=username, issuer=issuer, at=at)


_RESET: Final = MailText(
    "Set a new password",
    Template(
        "Hello,\n\n"
        "somebody asked for a new password for your account.\n\n"
        "Account: $username\n"
        "At:      $issuer\n\n"
        "To set one, open this link within $minutes minutes. It works once.\n\n"
        "$link\n\n"
        "If it was not you, do nothing: your password stays as it is.\n"
    ),
)


def write_reset(*, username: str, issuer: str, link: str, minutes: int) -> tuple[str, str]:
    """Return the subject and the text of the mail with a link to set another password."""
    text = _RESET.text.substitute(username=username, issuer=issuer, link=link, minutes=minutes)
    return _RESET.subject, text
