"""What the page signed is known again; what anybody else made, or what is over, is worth nothing."""

from __future__ import annotations

from pathlib import Path

from app.http.page.protection.key import FILE, LENGTH, read_key
from app.http.page.protection.signing import LONGEST_TOKEN, Signer
from tests.http.page.site import ADA, Clock

KEY = b"k" * LENGTH


def test_what_was_signed_is_read_with_its_person_and_parts_until_it_is_over() -> None:
    clock = Clock()
    signer = Signer(KEY, clock)
    token = signer.sign("file", ADA, "ein Bär.png", "0", life=60)
    signed = signer.read("file", token)
    assert signed is not None
    assert (signed.person, signed.parts) == (ADA, ("ein Bär.png", "0"))
    clock.now += 59
    assert signer.read("file", token) is not None
    clock.now += 1
    assert signer.read("file", token) is None


def test_a_token_is_worth_nothing_for_another_purpose_or_with_another_key() -> None:
    signer = Signer(KEY)
    token = signer.sign("file", ADA, life=60)
    assert signer.read("session", token) is None
    assert Signer(b"x" * LENGTH).read("file", token) is None


def test_a_token_of_which_one_character_differs_is_worth_nothing() -> None:
    signer = Signer(KEY)
    token = signer.sign("file", ADA, "1", life=60)
    # The last character carries two bits of no meaning.
    for place in range(len(token) - 1):
        forged = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert signer.read("file", forged) is None


def test_what_is_no_token_is_worth_nothing() -> None:
    signer = Signer(KEY)
    for text in ("", ".", "a.b", "x" * (LONGEST_TOKEN + 1), "ä.ö", "..", signer.sign("file", ADA, life=60) + "x"):
        assert signer.read("file", text) is None


def test_the_key_outlives_a_restart_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    key = read_key(tmp_path / "data")
    file = tmp_path / "data" / FILE
    assert len(key) == LENGTH
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    assert read_key(tmp_path / "data") == key
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_that_was_written_in_part_is_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"short")
    key = read_key(tmp_path)
    assert len(key) == LENGTH
    assert read_key(tmp_path) == key
