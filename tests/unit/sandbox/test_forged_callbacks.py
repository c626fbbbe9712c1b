"""Forged callbacks: almost right, and the same again for the same callback."""

import re

import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.sandbox import forged_callbacks
from suno_cover_async.sandbox.scenario import Mishap
from suno_cover_async.sandbox.world import STYLES, Notice
from tests.support.worlds import a_cover, a_world


def forged(url: str, cover_task_id: str = "c") -> Notice:
    return forged_callbacks.forge(Notice(cover_task_id=cover_task_id, url=url, images=None))


@given(st.text("abcXYZ019-_.~", min_size=1, max_size=50), st.uuids())
def test_a_forged_url_has_one_wrong_character_in_its_last_segment(
    segment: str, cover_task_id: object
) -> None:
    base, tail = "http://127.0.0.1:8080/suno/", "?a=b"
    url = str(yarl.URL(f"{base}x{segment}{tail}"))

    wrong = forged(url, f"{cover_task_id}").url

    assert len(wrong) == len(url)
    assert wrong.startswith(base)
    assert wrong.endswith(tail)
    assert sum(one != other for one, other in zip(url, wrong, strict=True)) == 1
    assert str(yarl.URL(wrong)) == wrong


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("", r"/forged"),
        ("/", r"/forged"),
        ("?a=b", r"/forged\?a=b"),
        ("/x", r"/[^/x]"),
        ("/a/b//", r"/a/[^/b]//"),
        ("/a%2F", r"/([^a]%2F|a[\w-])"),
        ("/%41", r"/[^/A]"),
        ("/ü", r"/(%C3[\w-]|[\w-]%BC)"),
    ],
)
def test_a_url_of_any_form_is_forged(path: str, pattern: str) -> None:
    for number in range(50):
        wrong = forged(f"http://127.0.0.1:8080{path}", str(number)).url

        assert re.fullmatch(rf"http://127\.0\.0\.1:8080{pattern}", wrong, re.ASCII)


def test_a_forged_callback_has_the_right_id_and_images_of_nobody() -> None:
    world = a_world(seconds=0, forged_callbacks=1)
    a_cover(world, fails=True)
    (real,) = world.due(1000.0)

    made_up = forged_callbacks.forge(real)

    assert made_up == forged_callbacks.forge(real)
    assert made_up.cover_task_id == real.cover_task_id
    assert made_up.images is not None
    assert [world.image(path) for path in made_up.images] == [None, None]


def test_forged_images_are_as_many_as_a_cover_has_and_differ_by_cover_task() -> None:
    urls = "http://127.0.0.1:1/x"
    one, other = forged(urls, "c1").images, forged(urls, "c2").images

    assert one is not None
    assert other is not None
    assert len(one) == len(other) == len(STYLES)
    assert len({*one, *other}) == 2 * len(STYLES)
    assert all(re.fullmatch(r"/s/[0-9a-f]{32}\.png", path) for path in (*one, *other))


def test_a_forged_callback_is_otherwise_the_real_one() -> None:
    real = Notice(
        cover_task_id="c", url="http://127.0.0.1:1/x", images=("/s/1",), mishap=Mishap.FORGED
    )

    made_up = forged_callbacks.forge(real)

    assert (made_up.cover_task_id, made_up.mishap) == ("c", Mishap.FORGED)
    assert made_up.url != real.url
    assert made_up.images != real.images


def test_a_wrong_key_differs_from_any_key() -> None:
    for key in ("", "a-key", "not ", forged_callbacks.wrong_key("a-key")):
        assert forged_callbacks.wrong_key(key) != key
