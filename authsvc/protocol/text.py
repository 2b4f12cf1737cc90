"""Text that people will read: what may stand in a name on a page, in a log or in a claim.

Characters that are invisible, or that turn the direction of the text around them, make
one name look like another, and a person decides by a client's name (RFC 7591 §5).
"""

import re
import unicodedata
from typing import Final

# Control characters (C0, DEL, C1), line and paragraph separators, bidirectional
# embeddings, overrides and isolates, and surrogates, which are not text at all.
_NOT_PLAIN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Letters to Unicode, and nothing to the eye (Default_Ignorable_Code_Point).
_FILLERS: Final = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
# What PostgreSQL and UTF-8 can not hold.
_NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def is_plain_text(text: str, *, max_length: int) -> bool:
    """Tell whether ``text`` is one line of 1 to ``max_length`` characters, one visible at least."""
    return (
        0 < len(text) <= max_length
        and _NOT_PLAIN.search(text) is None
        and any(_is_visible(character) for character in text)
    )


def _is_visible(character: str) -> bool:
    """Tell a character that leaves a mark from spaces, joiners, fillers and the like."""
    if character in _FILLERS:
        return False
    return unicodedata.category(character)[0] in "LNPS"


def is_storable(text: str) -> bool:
    """Tell whether ``text`` can be written as UTF-8 and kept by every database."""
    return _NOT_STORABLE.search(text) is None
