"""Text that people will read: what may stand in a name on a page, in a log or in a claim.

Characters that are invisible, or that turn the direction of the text around them, make
one name look like another, and a person decides by a client's name (RFC 7591 §5).
"""

import re
from typing import Final

# Control characters (C0, DEL, C1), line and paragraph separators, bidirectional
# embeddings, overrides and isolates, and surrogates, which are not text at all.
_NOT_PLAIN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# What PostgreSQL and UTF-8 can not hold.
_NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def is_plain_text(text: str, *, max_length: int) -> bool:
    """Tell whether ``text`` is one line of 1 to ``max_length`` visible characters."""
    return 0 < len(text) <= max_length and not text.isspace() and _NOT_PLAIN.search(text) is None


def is_storable(text: str) -> bool:
    """Tell whether ``text`` can be written as UTF-8 and kept by every database."""
    return _NOT_STORABLE.search(text) is None
