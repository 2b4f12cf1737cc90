"""The doctor's check of the mail server: as far as a message goes, without one."""

from authsvc.cli.checks import Finding
from authsvc.config import Settings
from authsvc.outbound import OutboundError
from authsvc.resources import open_mail_server

_ADVICE = (
    "See that AUTHSVC_SMTP_URL is right, the server runs, offers TLS under a certificate that "
    "this machine trusts (AUTHSVC_OUTBOUND_CA_FILE), and lets the account in."
)


async def check_mail(settings: Settings) -> Finding:
    """Return whether the mail server takes us in: connection, TLS and password."""
    try:
        mail_server = open_mail_server(settings)
        if mail_server is None:
            advice = "With AUTHSVC_SMTP_URL and AUTHSVC_MAIL_FROM people hear of changes."
            return Finding("mail", "ok", "no mail server is set: no mail is sent", advice)
        await mail_server.check()
    except (OutboundError, ValueError) as error:
        return Finding("mail", "error", str(error), _ADVICE)
    if settings.mail is not None and settings.mail[0].security == "off":
        advice = "Set a mail server with TLS, unless this one is on this machine or network."
        return Finding("mail", "warning", "the mail server takes us in, without TLS", advice)
    return Finding("mail", "ok", "the mail server takes us in")
