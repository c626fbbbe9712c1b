"""The key: checked, sent, and shown nowhere."""

import copy
import pickle

import pytest

from suno_cover_async.http.credentials import ApiKey

KEY = "sk-Nightingale-9b27"


def checked(value: object = KEY) -> ApiKey:
    key = ApiKey(value)
    key.check()
    return key


def test_the_headers_have_the_key_and_name_this_package() -> None:
    headers = checked().headers()

    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["User-Agent"].startswith("suno-cover-async/")


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_key_says_where_it_comes_from(value: str | None) -> None:
    with pytest.raises(ValueError, match="pass api_key, or set the environment variable"):
        checked(value)


@pytest.mark.parametrize("value", [f" {KEY}", f"{KEY}\n", "ключ", "a b"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match="check for a space or a line break") as caught:
        checked(value)
    assert value.strip() not in str(caught.value)


@pytest.mark.parametrize("value", [f'"{KEY}"', f"'{KEY}'", f'"{KEY}', f"{KEY}'", f"`{KEY}`"])
def test_a_key_in_quotes_is_refused_with_the_reason_and_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match="mark; remove it: `docker --env-file` and") as caught:
        checked(value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("start", ["Bearer ", "bearer  ", "Authorization: Bearer ", "Bearer\n"])
def test_a_key_with_the_rest_of_its_header_is_refused_with_the_reason(start: str) -> None:
    with pytest.raises(ValueError, match="give the key alone") as caught:
        checked(start + KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["bearer-1234", "Authorization"])
def test_a_key_may_begin_as_a_header_does(key: str) -> None:
    assert checked(key).headers()["Authorization"] == f"Bearer {key}"


@pytest.mark.parametrize("value", ["s", "sk-1234"])
def test_a_key_under_8_characters_is_refused_with_the_reason_and_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match=f"has only {len(value)} characters; keys have") as caught:
        checked(value)
    assert f" {value} " not in str(caught.value)


def test_a_key_of_8_characters_is_good() -> None:
    assert checked("sk-12345").headers()["Authorization"] == "Bearer sk-12345"


def test_requests_are_not_answered_from_a_cache() -> None:
    assert checked().headers()["Cache-Control"] == "no-cache"


def test_a_key_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="api_key must be a str"):
        checked(b"sk-bytes")


def test_neither_repr_nor_pickle_nor_copy_shows_it() -> None:
    key = checked()

    assert KEY not in repr(key)
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(key)


def test_a_fingerprint_tells_keys_and_hosts_apart_and_reveals_neither() -> None:
    prints = {
        ApiKey(value).fingerprint(host)
        for value in (KEY, KEY + "0")
        for host in ("sunoapi", "kie", "https://api.example")
    }

    assert len(prints) == 6
    assert all(len(one) == 16 for one in prints)
    assert checked().fingerprint("kie") == ApiKey(KEY).fingerprint("kie")


def test_it_is_hidden_in_what_a_server_says() -> None:
    assert checked().hide_in(f"no such key {KEY}!") == "no such key [key]!"


@pytest.mark.parametrize("odd", [KEY, f"Bearer {KEY}", KEY.upper(), KEY.encode().hex()])
def test_it_is_refused_in_place_of_an_id_and_not_shown(odd: str) -> None:
    with pytest.raises(ValueError, match=r"^task is the API key \(not shown\); give") as caught:
        checked().check_id("task", odd)
    assert odd not in str(caught.value)


@pytest.mark.parametrize("fine", ["2fac0b6d", KEY[:-1], "", 5, None])
def test_anything_else_is_left_to_other_checks_of_ids(fine: object) -> None:
    checked().check_id("task", fine)
