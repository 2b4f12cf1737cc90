"""What is sealed opens with the right key and purpose, and with nothing else."""

import base64
import multiprocessing
import secrets
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.master_key import (
    MasterKeys,
    RootSecret,
    SealError,
    parse_master_keys,
    read_or_create_master_key,
)

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PURPOSE = "signing key"


def _text(key: bytes, *, padded: bool = False) -> str:
    encoded = base64.urlsafe_b64encode(key).decode()
    return encoded if padded else encoded.rstrip("=")


@given(plaintext=st.binary(max_size=4_096), purpose=st.text(max_size=50))
def test_what_is_sealed_opens_again(plaintext: bytes, purpose: str) -> None:
    keys = MasterKeys([OLD])

    assert keys.open(keys.seal(plaintext, purpose=purpose), purpose=purpose) == plaintext


def test_a_seal_hides_what_it_holds_and_is_never_the_same_twice() -> None:
    keys = MasterKeys([OLD])

    first, second = (keys.seal(b"the secret itself", purpose=PURPOSE) for _ in range(2))

    assert first != second
    assert b"secret" not in first
    assert OLD[:8] not in first


@given(position=st.integers(min_value=0, max_value=10_000), bit=st.integers(0, 7))
def test_one_bit_that_was_altered_keeps_it_shut(position: int, bit: int) -> None:
    keys = MasterKeys([OLD])
    sealed = bytearray(keys.seal(b"the secret itself", purpose=PURPOSE))
    sealed[position % len(sealed)] ^= 1 << bit

    with pytest.raises(SealError):
        keys.open(bytes(sealed), purpose=PURPOSE)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 19, 20, 35])
def test_a_seal_that_was_cut_off_stays_shut(length: int) -> None:
    keys = MasterKeys([OLD])
    sealed = keys.seal(b"the secret itself", purpose=PURPOSE)

    with pytest.raises(SealError):
        keys.open(sealed[:length], purpose=PURPOSE)


def test_a_seal_opens_for_its_own_purpose_alone() -> None:
    keys = MasterKeys([OLD])

    with pytest.raises(SealError, match="altered"):
        keys.open(keys.seal(b"x", purpose="root secret"), purpose=PURPOSE)


def test_the_newest_key_seals_and_each_opens_what_it_sealed() -> None:
    old, both, new = MasterKeys([OLD]), MasterKeys([NEW, OLD]), MasterKeys([NEW])
    sealed = old.seal(b"x", purpose=PURPOSE)

    assert both.open(sealed, purpose=PURPOSE) == b"x"
    assert not both.is_newest(sealed)
    renewed = both.seal(both.open(sealed, purpose=PURPOSE), purpose=PURPOSE)
    assert both.is_newest(renewed)
    assert new.open(renewed, purpose=PURPOSE) == b"x"
    with pytest.raises(SealError, match="is not the master key"):
        new.open(sealed, purpose=PURPOSE)
    with pytest.raises(SealError, match="is not the master key"):
        old.open(renewed, purpose=PURPOSE)


@pytest.mark.parametrize("text", [_text(OLD), _text(OLD, padded=True), f"\n {_text(OLD)}\n"])
def test_a_key_is_read_with_and_without_padding(text: str) -> None:
    sealed = MasterKeys([OLD]).seal(b"x", purpose=PURPOSE)

    assert parse_master_keys(text).open(sealed, purpose=PURPOSE) == b"x"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ,, ",
        _text(OLD[:31]),
        _text(OLD + b"x"),
        _text(OLD)[:-1],
        f"{_text(OLD)},{_text(NEW[:16])}",
        "é" * 43,
        "!" * 43,
        OLD.hex(),
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="master key") as refused:
        parse_master_keys(text)

    assert not text.strip() or text not in str(refused.value)


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"

    made = read_or_create_master_key(path)

    assert read_or_create_master_key(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(base64.urlsafe_b64decode(made.strip() + "=")) == 32
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"]


def test_a_key_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_text("what somebody put here")

    assert read_or_create_master_key(path) == "what somebody put here"
    assert path.read_text() == "what somebody put here"


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        keys = pool.map(read_or_create_master_key, [tmp_path / "master.key"] * 12)

    assert len(set(keys)) == 1


def test_each_purpose_gets_a_key_of_its_own_and_always_the_same() -> None:
    secret = secrets.token_bytes(32)
    purposes = ("audit", "csrf", "session cookie", "")

    keys = [RootSecret(secret).derive(purpose) for purpose in purposes]

    assert len({*keys, secret}) == len(purposes) + 1
    assert {len(key) for key in keys} == {32}
    assert keys == [RootSecret(secret).derive(purpose) for purpose in purposes]
    assert RootSecret(secrets.token_bytes(32)).derive("audit") not in keys
