"""User codes: what a person types to name the device they hold (RFC 8628 §6.1).

Eight letters of twenty: no vowels, so no words, and none that is easily taken for a digit.
"""

import secrets
import unicodedata
from typing import Final

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH: Final = 8
_MAX_TYPED: Final = 100
# What is in no code stands for the letter it looks like.
_LOOK_ALIKES: Final = str.maketrans("012568OIU", "QLZSGBQLV")


def new_user_code() -> str:
    """Return a random code without its dash: 34 bits, so guessing it must be throttled."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def format_user_code(user_code: str) -> str:
    """Return the code as people are shown it: ``XXXX-XXXX``."""
    return f"{user_code[: LENGTH // 2]}-{user_code[LENGTH // 2 :]}"


def parse_user_code(typed: str) -> str | None:
    """Return the code that was ``typed``, without its dash, or None when it can be none.

    Case, spaces, punctuation and full-width letters do not matter; a character that no
    code has is taken for the letter it looks like (RFC 8628 §6.1).
    """
    user_code = _letters(typed).translate(_LOOK_ALIKES)
    return user_code if len(user_code) == LENGTH and set(user_code) <= set(ALPHABET) else None


def is_as_long_as_a_user_code(typed: str) -> bool:
    """Tell whether what was ``typed`` has as many letters and digits as a code."""
    return len(_letters(typed)) == LENGTH


def _letters(typed: str) -> str:
    if len(typed) > _MAX_TYPED:
        return ""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", typed).upper()))
