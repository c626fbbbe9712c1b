"""Tokens in callback URLs, and kie.ai's signature: valid, or refused in one way."""

import base64
import copy
import hashlib
import hmac
import pickle
import string
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.protocol import signatures
from suno_cover_async.protocol.signatures import Secrets, Signature

MUSIC = "73d6128b3523a0079df10da9471017c8"
COVER = "21aee3c3c2a01fa5e030b3799fa4dd56"
NOW = 1_760_512_082
KEY = b"test-webhook-key"
VECTOR = "XOgwLuSjMdf36p9BCIszUAUO1N3RoIxG9oZqOWKqpEQ="
OURS = Secrets("ours").check("secret")
KIE_KEYS = Secrets(KEY).check("hmac_key")
BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"

ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.binary(min_size=1)


def verified(
    signature: str,
    cover_task_id: str = COVER,
    timestamp: str = str(NOW),
    *,
    late: float = 0,
    **window: float,
) -> bool:
    """Whether a callback of kie.ai's is believed; any error but ours is the test's."""
    try:
        read = signatures.read_signature(timestamp, signature)
        signatures.verify(KIE_KEYS, read, cover_task_id, now=NOW + late, **window)
    except CallbackRefusedError:
        return False
    return True


def sibling(encoded: str, alphabet: str) -> str:
    """Write the same bytes another way: one of the bits that base64 has to spare, set."""
    return encoded[:-1] + alphabet[alphabet.index(encoded[-1]) ^ 1]


class Hostile(str):
    """A text whose own methods fail."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Hostile"

    def fails(self, *_: object) -> NoReturn:
        raise ZeroDivisionError

    __int__ = __format__ = __str__ = __getitem__ = __len__ = __iter__ = fails
    encode = rpartition = partition = split = fails  # type: ignore[assignment]


ANYTHING: list[Any] = [
    *(None, True, 0, -1, 10**400, 1.5, float("nan"), b"", b"\xff", bytearray(b"a"), [], {}, object),
    *(
        Hostile(MUSIC),
        Hostile(str(NOW)),
        Hostile(VECTOR),
        "",
        "\ud800",
        "\x00",
        "/",
        ".",
        "/.",
        "a.",
    ),
]
anything = st.sampled_from(ANYTHING) | st.text() | st.binary() | st.integers() | st.floats()


# The tokens in our callback URLs


@given(music_task_id=ids, key=keys, prefix=st.text())
def test_what_was_minted_for_any_id_is_read_back(
    music_task_id: str, key: str | bytes, prefix: str
) -> None:
    secrets = Secrets(key).check("secret")

    segment = signatures.mint(secrets, music_task_id)

    assert signatures.music_task_of(secrets, segment) == music_task_id
    assert signatures.music_task_of(secrets, f"{prefix}/{segment}") == music_task_id


@given(music_task_id=ids)
def test_a_minted_segment_means_nothing_special_in_a_url(music_task_id: str) -> None:
    segment = signatures.mint(OURS, music_task_id)

    assert set(segment) <= {*string.ascii_letters, *string.digits, *"-_."}
    assert len(segment) <= 171 + 1 + 43


def test_a_token_is_the_hmac_of_length_prefixed_parts() -> None:
    parts = (b"suno-cover-async callback url", MUSIC.encode())
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    token = hmac.new(b"ours", message, hashlib.sha256).digest()

    encoded, _, minted = signatures.mint(OURS, MUSIC).partition(".")

    assert base64.urlsafe_b64decode(encoded + "=") == MUSIC.encode()
    assert base64.urlsafe_b64decode(minted + "=") == token


@pytest.mark.parametrize("music_task_id", [MUSIC, "a", "ab", "abc", "~" * 128])
def test_a_segment_with_any_other_character_is_refused(music_task_id: str) -> None:
    segment = signatures.mint(OURS, music_task_id)
    others = "".join(chr(code) for code in (*range(128), 0xAD, 0xFF21, 0xFF0E, 0x212A, 0xD800))

    for at, there in enumerate(segment):
        for other in others.replace(there, ""):
            with pytest.raises(CallbackRefusedError):
                signatures.music_task_of(OURS, segment[:at] + other + segment[at + 1 :])


@given(data=st.data())
def test_a_segment_with_something_added_or_missing_is_refused(data: st.DataObject) -> None:
    segment = signatures.mint(OURS, MUSIC)
    at = data.draw(st.integers(0, len(segment)))
    added = data.draw(st.characters(exclude_characters="/") | st.sampled_from("=\n\x00 .A"))
    start = data.draw(st.integers(0, len(segment) - 1))
    end = data.draw(st.integers(start + 1, len(segment)))

    for wrong in (segment[:at] + added + segment[at:], segment[:start] + segment[end:]):
        with pytest.raises(CallbackRefusedError):
            signatures.music_task_of(OURS, wrong)


@pytest.mark.parametrize(
    "added", ["\n", " ", "=", ".", "A", "\x00", "?", "/", "%", "\ud800", "\u0661"]
)
def test_nothing_may_stand_behind_the_token_or_right_before_the_id(added: str) -> None:
    segment = signatures.mint(OURS, MUSIC)

    wrongs = [segment + added, segment.replace(".", added + "."), segment.replace(".", "." + added)]
    for wrong in [*wrongs, added + segment] if added != "/" else wrongs:
        with pytest.raises(CallbackRefusedError):
            signatures.music_task_of(OURS, wrong)


@given(one=ids, other=ids)
def test_the_token_of_one_song_notifies_for_no_other(one: str, other: str) -> None:
    token = signatures.mint(OURS, one).partition(".")[2]
    encoded = signatures.mint(OURS, other).partition(".")[0]

    if one != other:
        with pytest.raises(CallbackRefusedError):
            signatures.music_task_of(OURS, f"{encoded}.{token}")


def test_a_segment_has_one_spelling_only() -> None:
    for music_task_id in ("a", "ab", "abcd"):
        encoded, _, token = signatures.mint(OURS, music_task_id).partition(".")
        urlsafe = BASE64.replace("+/", "-_")

        for wrong in (
            f"{sibling(encoded, urlsafe)}.{token}",
            f"{encoded}.{sibling(token, urlsafe)}",
        ):
            with pytest.raises(CallbackRefusedError):
                signatures.music_task_of(OURS, wrong)


@pytest.mark.parametrize(
    "music_task_id", ["", " ", "a b", "a\n", "\x7f", "\u00e9", "x" * 129, "\x00"]
)
def test_a_good_token_of_what_is_no_id_is_refused(music_task_id: str) -> None:
    with pytest.raises(CallbackRefusedError):
        signatures.music_task_of(OURS, signatures.mint(OURS, music_task_id))


@given(music_task_id=ids, one=keys, other=keys)
def test_tokens_of_one_secret_are_refused_by_another(
    music_task_id: str, one: str | bytes, other: str | bytes
) -> None:
    mine, theirs = Secrets(one).check("secret"), Secrets(other).check("secret")

    if as_hmac_key(one) != as_hmac_key(other):
        with pytest.raises(CallbackRefusedError):
            signatures.music_task_of(theirs, signatures.mint(mine, music_task_id))


def as_hmac_key(key: str | bytes) -> bytes:
    """Pad as RFC 2104 does: keys that differ in zeros at the end alone are one key."""
    raw = key.encode() if isinstance(key, str) else key
    return (raw if len(raw) <= 64 else hashlib.sha256(raw).digest()).ljust(64, b"\x00")


def test_while_secrets_rotate_the_first_signs_and_all_are_believed() -> None:
    old, new = Secrets("old").check("secret"), Secrets(b"new").check("secret")
    rotating = Secrets(key for key in ("new", b"old")).check("secret")
    by_old = signatures.mint(old, MUSIC)

    assert signatures.mint(rotating, MUSIC) == signatures.mint(new, MUSIC)
    assert signatures.music_task_of(rotating, by_old) == MUSIC
    assert signatures.music_task_of(rotating, signatures.mint(new, MUSIC)) == MUSIC
    with pytest.raises(CallbackRefusedError):
        signatures.music_task_of(new, by_old)


@given(path=anything)
def test_any_path_of_any_type_is_refused_in_one_way(path: Any) -> None:
    with pytest.raises(CallbackRefusedError) as caught:
        signatures.music_task_of(OURS, path)

    assert type(caught.value) is CallbackRefusedError


@given(
    encoded=st.from_regex(r"[A-Za-z0-9_=-]{0,180}", fullmatch=True),
    token=st.from_regex(r"[A-Za-z0-9_=-]{43}", fullmatch=True),
)
def test_a_made_up_token_is_refused(encoded: str, token: str) -> None:
    with pytest.raises(CallbackRefusedError):
        signatures.music_task_of(OURS, f"{encoded}.{token}")


# kie.ai's signature


def test_the_test_vector_is_signed_and_believed() -> None:
    assert signatures.sign(KEY, COVER, NOW) == VECTOR
    assert verified(VECTOR)


@given(cover_task_id=ids, timestamp=st.integers(0, 10**12 - 1), key=st.binary(min_size=1))
def test_a_signature_is_base64_of_an_hmac_over_id_and_time(
    cover_task_id: str, timestamp: int, key: bytes
) -> None:
    message = f"{cover_task_id}.{timestamp}".encode()
    signature = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()

    read = signatures.read_signature(str(timestamp), signature)

    signatures.verify(Secrets(key).check("hmac_key"), read, cover_task_id, now=timestamp)
    assert signatures.sign(key, cover_task_id, timestamp) == signature


def test_a_signature_of_another_id_time_or_key_is_refused() -> None:
    assert not verified(VECTOR, cover_task_id=MUSIC)
    assert not verified(VECTOR, timestamp=str(NOW + 1))
    assert not verified(signatures.sign(b"another key", COVER, NOW))
    assert not verified(signatures.sign(KEY, COVER + ".1", NOW))
    assert not verified(signatures.sign(KEY, MUSIC, NOW))


@pytest.mark.parametrize("cover_task_id", ["", " ", "a b", "a\n", "\u00e9", "x" * 129, "\x00"])
def test_a_good_signature_of_what_is_no_id_is_refused(cover_task_id: str) -> None:
    assert not verified(signatures.sign(KEY, cover_task_id, NOW), cover_task_id)
    assert not verified(VECTOR, cover_task_id + "\ud800")


def test_any_of_several_webhook_keys_may_have_signed() -> None:
    read = signatures.read_signature(str(NOW), VECTOR)

    signatures.verify(Secrets([b"next", KEY]).check("hmac_key"), read, COVER, now=NOW)
    with pytest.raises(CallbackRefusedError):
        signatures.verify(Secrets([b"next", b"last"]).check("hmac_key"), read, COVER, now=NOW)


def test_our_token_is_no_signature_even_if_both_keys_are_equal() -> None:
    token = signatures.mint(KIE_KEYS, COVER).partition(".")[2].replace("-", "+").replace("_", "/")

    assert not verified(token + "=")
    assert not verified(
        token + "=", cover_task_id=signatures.mint(KIE_KEYS, COVER).partition(".")[0]
    )


@pytest.mark.parametrize("late", [-300, -299.5, -1, 0, 1, 299.5, 300])
def test_300_s_of_difference_are_believed_either_way(late: float) -> None:
    assert verified(VECTOR, late=late)


@pytest.mark.parametrize(
    "late", [-301, 301, -300.001, 300.001, 10**9, -NOW, float("inf"), float("-inf"), float("nan")]
)
def test_more_than_300_s_of_difference_are_refused_either_way(late: float) -> None:
    assert not verified(VECTOR, late=late)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_window_can_be_chosen(sign: int) -> None:
    assert verified(VECTOR, late=sign * 5, window=5)
    assert not verified(VECTOR, late=sign * 6, window=5)
    assert verified(VECTOR, late=sign * 3600, window=3600)
    assert not verified(VECTOR, late=sign, window=0)
    assert verified(VECTOR, window=0)


ODD_TIMESTAMPS: list[Any] = [
    *("", " ", "+1760512082", "-1760512082", "1_760_512_082", "01760512082", "00", "1760512082.0"),
    *(
        " 1760512082",
        "1760512082 ",
        "1760512082\n",
        "\n1760512082",
        "1760512082\x00",
        "1760512082,",
    ),
    *("1.760512082e9", "0x68ef4692", "9" * 13, "9" * 5000, "nan", "inf", "1760512082\ud800"),
    "".join(chr(0xFF10 + int(digit)) for digit in str(NOW)),
    "".join(chr(0x0660 + int(digit)) for digit in str(NOW)),
    "176051208\u00b2",
    *(None, NOW, float(NOW), str(NOW).encode(), [str(NOW)], Hostile(str(NOW))),
]
ODD_SIGNATURES: list[Any] = [
    *("", "=", VECTOR[:-1], VECTOR + "=", VECTOR + "\n", "\n" + VECTOR, " " + VECTOR, VECTOR + " "),
    *(VECTOR[:-2] + "==", VECTOR[1:], "A" + VECTOR, VECTOR[:20] + "=" + VECTOR[20:], VECTOR * 2),
    *(VECTOR[:20] + "\n" + VECTOR[21:], VECTOR[:20] + "-" + VECTOR[21:], "_" + VECTOR[1:]),
    *(
        "sha256=" + VECTOR,
        VECTOR[:20] + "\ud800" + VECTOR[21:],
        "\uff38" + VECTOR[1:],
        "A" * 70_000,
    ),
    sibling(VECTOR[:-1], BASE64) + "=",
    base64.b64decode(VECTOR).hex(),
    *(None, 5, VECTOR.encode(), [VECTOR], Hostile(VECTOR)),
]


@pytest.mark.parametrize("timestamp", ODD_TIMESTAMPS, ids=lambda odd: f"{odd!a:.40}")
def test_a_timestamp_of_another_shape_is_refused_before_anything_else(timestamp: Any) -> None:
    with pytest.raises(CallbackRefusedError, match="missing or malformed"):
        signatures.read_signature(timestamp, VECTOR)


@pytest.mark.parametrize("signature", ODD_SIGNATURES, ids=lambda odd: f"{odd!a:.40}")
def test_a_signature_of_another_shape_is_refused_before_anything_else(signature: Any) -> None:
    with pytest.raises(CallbackRefusedError, match="missing or malformed"):
        signatures.read_signature(str(NOW), signature)


@given(at=st.integers(0, 43), other=st.characters(codec="ascii"))
def test_no_other_character_anywhere_in_a_signature_is_believed(at: int, other: str) -> None:
    assert verified(VECTOR[:at] + other + VECTOR[at + 1 :]) == (VECTOR[at] == other)


@given(timestamp=anything, signature=anything, cover_task_id=anything)
def test_any_headers_and_id_of_any_type_are_refused_in_one_way(
    timestamp: Any, signature: Any, cover_task_id: Any
) -> None:
    with pytest.raises(CallbackRefusedError) as caught:
        signatures.read_signature(timestamp, signature)
    assert type(caught.value) is CallbackRefusedError

    with pytest.raises(CallbackRefusedError) as caught:
        signatures.verify(KIE_KEYS, Signature(NOW, bytes(32)), cover_task_id, now=NOW)
    assert type(caught.value) is CallbackRefusedError


@given(
    timestamp=st.from_regex(r"[0-9]{1,12}", fullmatch=True),
    signature=st.from_regex(r"[A-Za-z0-9+/]{43}=", fullmatch=True),
)
def test_a_made_up_signature_is_refused(timestamp: str, signature: str) -> None:
    assert not verified(signature, timestamp=timestamp)
    assert not verified(signature)


# Secrets


SECRET = "hush-hush-0123456789"


@pytest.mark.parametrize("shown", [repr, str, ascii, "{}".format, "{0!r}".format])
def test_secrets_show_only_their_number(shown: Callable[[object], str]) -> None:
    assert shown(Secrets([SECRET, SECRET.encode()]).check("secret")) == "<2 secret(s)>"
    assert shown([Secrets(SECRET).check("secret")]).strip("[]") == "<1 secret(s)>"


@pytest.mark.parametrize(
    "take",
    [copy.copy, copy.deepcopy, *(lambda it, n=n: pickle.dumps(it, n) for n in range(6)), vars],
)
def test_secrets_are_not_carried_away(take: Callable[[object], object]) -> None:
    with pytest.raises(TypeError) as caught:
        take(Secrets(SECRET).check("secret"))

    assert "hush" not in str(caught.value)


EMPTY_SECRETS: list[Any] = ["", b"", [], (), {}, [""], [SECRET, ""], [b"", SECRET]]
NO_UNICODE: list[Any] = [SECRET + "\ud800", [SECRET, "\udcff" + SECRET]]
NO_SECRETS: list[Any] = [
    *(None, 5, True, 1.5, object(), [None], [SECRET, 5], [[SECRET]]),
    *(bytearray(SECRET.encode()), memoryview(SECRET.encode())),
]
BAD_SECRETS = [
    *((odd, ValueError) for odd in EMPTY_SECRETS + NO_UNICODE),
    *((odd, TypeError) for odd in NO_SECRETS),
]


@pytest.mark.parametrize(("odd", "error"), BAD_SECRETS)
def test_bad_secrets_are_a_clear_error_that_shows_none(odd: Any, error: type[Exception]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        Secrets(odd).check("hmac_key")

    assert type(caught.value) is error
    assert str(caught.value).startswith("hmac_key must ")
    assert "hush" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("path", ["", "/", "/a.b", "/" + signatures.mint(OURS, MUSIC)], ids=str)
def test_a_refusal_shows_no_secret_and_nothing_of_the_callers(path: str) -> None:
    secrets = Secrets([SECRET, "another"]).check("secret")

    with pytest.raises(CallbackRefusedError) as caught:
        signatures.music_task_of(secrets, path)

    assert str(caught.value) in {"the path is none of our callback URLs", "the token is wrong"}
    assert caught.value.__context__ is None
