"""Whom we believe: the system's authorities, and those of the operator (RFC 9325 §3.1.1)."""

import ssl
from pathlib import Path


def make_tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies names and certificates, by TLS 1.2 or later.

    ``ca_file`` holds certificates (PEM) to trust besides those of the system. Raises
    ValueError when it cannot be read.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # a file without a certificate raises SSLError, which is one
            raise ValueError(f"no CA certificates can be read from {ca_file}: {error}") from error
    return context
