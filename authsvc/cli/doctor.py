"""``authsvc doctor``: what is wrong, and what to do about it."""

from authsvc import logs
from authsvc.cli.checks import (
    Finding,
    check_certificates,
    check_configuration,
    check_traces,
    check_variables,
)
from authsvc.cli.checks_of_mail import check_mail
from authsvc.cli.checks_of_storage import check_storage
from authsvc.cli.operation import run
from authsvc.cli.output import AsJson, print_json, print_lines
from authsvc.cli.refusal import Refused
from authsvc.config import ConfigError, load_settings

_CORRECT = "Correct the variable."
_MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


def doctor(as_json: AsJson = False) -> None:
    """Check everything, and say what to do.

    Looks at configuration, CA certificates, database, Redis, keys, clock and mail server, and
    changes nothing. Ends with 1 when something is wrong; warnings alone are no failure.
    """
    logs.configure(level="error")
    try:
        settings = load_settings()
    except ConfigError as error:
        findings = [
            *(Finding("configuration", "error", problem, _CORRECT) for problem in error.problems),
            *check_variables(),
        ]
    else:
        findings = [
            *check_configuration(settings),
            *check_certificates(settings),
            *check_traces(settings),
            *run(check_storage(settings)),
            run(check_mail(settings)),
        ]
    errors = sum(finding.status == "error" for finding in findings)
    if as_json:
        print_json([finding.document() for finding in findings])
    else:
        for finding in findings:
            print_lines(f"{_MARKS[finding.status]}  {finding.check}: {finding.finding}")
            if finding.advice:
                print_lines(f"         -> {finding.advice}")
    if errors:
        raise Refused(f"{errors} of {len(findings)} checks failed")
