"""Which passwords are acceptable (NIST SP 800-63B §3.1.1, RFC 8265 §4)."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.identity.passwords import (
    MAX_LENGTH,
    check_new_password,
    normalize_password,
)
from authsvc.protocol.errors import InvalidRequest

ACCEPTABLE = {
    "the shortest": "xkqvzjwp",
    "the longest": "correct horse " * 73 + "ab",
    "digits alone": "8301746290",
    "lower case alone": "unremarkablewords",
    "spaces inside and around": "  three spaces  ",
    "another script": "Достаточно-длинный",
    "ideographs": "正確馬電池釘書針門",
    "emoji beyond the basic plane": "🐎🔋📎✅🦄🌈🍀🎲",
    "a control character": "tab\tand\nnewline",
    "right to left": "סיסמהארוכהמאוד",
}
REFUSED = {
    "empty": ("", "at least 8"),
    "one too few": ("xkqvzjw", "at least 8"),
    "one too many": ("correct horse " * 73 + "abc", "at most 1024"),
    "far too many": ("x" * 1_000_000, "at most 1024"),
    "common": ("password", "among the first"),
    "common in capitals": ("PassWord", "among the first"),
    "common in full-width letters": (
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44",
        "among the first",
    ),
    "common and long": ("1234567890", "among the first"),
    "one character again and again": ("aaaaaaaaaaaa", "among the first"),
    "two characters by turns": ("abababababab", "among the first"),
    "half a surrogate pair": ("correct \ud83d horse", "Unicode text"),
    "the user name": ("annabelle-smith", "name of the account"),
    "the user name in other letters": ("ANNABELLE-Smith", "name of the account"),
    "the user name in full-width letters": (
        "\uff41\uff4e\uff4e\uff41\uff42\uff45\uff4c\uff4c\uff45-smith",
        "name of the account",
    ),
    "the mail address": ("Anna@Example.com", "name of the account"),
    "a name that is stored decomposed": ("andré-des-prés", "name of the account"),
}
NAMES = ("annabelle-smith", "anna@example.com", "andre\u0301-des-pre\u0301s", None)


@pytest.mark.parametrize("password", ACCEPTABLE.values(), ids=ACCEPTABLE.keys())
def test_any_unicode_of_8_to_1024_characters_is_a_password(password: str) -> None:
    check_new_password(password, names=NAMES)


@pytest.mark.parametrize(("password", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_weak_or_impossible_password_is_refused_with_its_reason(
    password: str, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        check_new_password(password, names=NAMES)


@pytest.mark.parametrize(
    ("typed", "other"),
    [
        ("of\ufb01ce of\ufb01ce", "office office"),
        ("caf\u00e9 am Ufer", "cafe\u0301 am Ufer"),
        ("\uff43\uff4f\uff52\uff52ect horse", "correct horse"),
        ("\u1e9b\u0323 und mehr", "\u1e69 und mehr"),
        ("\u2460\u2461\u2462 gezählt", "123 geza\u0308hlt"),
        ("한국어비밀번호", unicodedata.normalize("NFD", "한국어비밀번호")),
    ],
)
def test_the_same_password_from_two_keyboards_is_the_same(typed: str, other: str) -> None:
    assert typed != other

    assert normalize_password(typed) == normalize_password(other)


def test_letter_case_is_kept() -> None:
    assert normalize_password("Correct Horse") != normalize_password("correct horse")


@given(st.text(max_size=MAX_LENGTH))
def test_normalising_again_changes_nothing(password: str) -> None:
    once = normalize_password(password)

    assert once.encode().decode() == once
    assert len(once) > MAX_LENGTH or normalize_password(once) == once
