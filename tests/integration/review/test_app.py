"""The routes of the page, and the application in which it is mounted."""

import asyncio
import contextlib
import io
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import web
from PIL import Image

from suno_cover_async import Decision, Ledger, LedgerEntry, Track, review
from suno_cover_async.review import review_app
from suno_cover_async.sandbox.images import draw
from tests.support.odd_images import HTML, SVG
from tests.support.review_pages import SIDE, Page, a_ledger, add_saved, entered

PAGE = Path(review.__file__).with_name("page")
FILES = {"icon.svg", "images.js", "index.html", "review.js", "server.js", "session.js", "style.css"}
UNDECIDED = {
    "decision": "undecided",
    "image": None,
    "revision": 0,
    "decided_at": None,
    "decided_by": None,
}


def counts(
    *, undecided: int = 0, image: int = 0, neither: int = 0, later: int = 0
) -> dict[str, int]:
    every = {"undecided": undecided, "image": image, "neither": neither, "later": later}
    return {"all": sum(every.values()), **every}


async def numbers(page: Page, query: str) -> list[int]:
    return [pair["number"] for pair in (await page.get(f"api/pairs?{query}")).json["pairs"]]


async def test_the_page_is_the_files_of_its_folder(page: Page) -> None:
    kinds = {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml; charset=utf-8",
    }
    files = [file for file in PAGE.iterdir() if file.suffix in kinds]
    for file in files:
        answer = await page.get(file.name)
        assert (answer.status, answer.headers["content-type"]) == (200, kinds[file.suffix])
        assert answer.body == file.read_bytes()

    assert {file.name for file in files} == FILES  # a wheel might lack some
    assert (await page.get("")).body == (PAGE / "index.html").read_bytes()


async def test_the_summary_has_names_counts_and_the_next_step(tmp_path: Path) -> None:
    async with entered(await a_ledger(tmp_path), next_step="suno-cover apply covers.db") as page:
        await page.choose(1, "image", 2, 0)

        assert (await page.get("api/summary")).json == {
            "ledger": "covers.db",
            "person": "Ann",
            "counts": counts(undecided=2, image=1),
            "next_step": "suno-cover apply covers.db",
        }


async def test_pairs_come_in_pages_with_where_the_next_one_begins(page: Page) -> None:
    first = (await page.get("api/pairs?limit=2")).json
    second = (await page.get(f"api/pairs?limit=2&after={first['next']}")).json
    third = (await page.get("api/pairs?after=3")).json

    assert [pair["number"] for pair in first["pairs"]] == [1, 2]
    assert [pair["number"] for pair in second["pairs"]] == [3]
    assert (first["next"], second["next"], third["next"]) == (2, None, None)
    assert third["pairs"] == []
    assert first["counts"] == counts(undecided=3)
    assert first["pairs"][0] == (await page.get("api/pairs/1")).json


async def test_pairs_are_filtered_by_decision_and_by_title(page: Page) -> None:
    for number, decision, image in ((1, "image", 1), (2, "neither", None), (3, "later", None)):
        await page.choose(number, decision, image, 0)
    filters = {"undecided": [], "decided": [1, 2], "neither": [2], "later": [3], "all": [1, 2, 3]}

    assert {name: await numbers(page, f"decision={name}") for name in filters} == filters
    assert await numbers(page, "") == [1, 2, 3]
    assert await numbers(page, "search=SONG%202") == [2]
    assert await numbers(page, "search=song&decision=later") == [3]
    found = (await page.get("api/pairs?search=song%202&decision=later")).json
    assert (found["pairs"], found["counts"]) == ([], counts(neither=1))


async def test_a_choice_is_recorded_with_its_person_and_time(page: Page, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    answer = await page.choose(2, "image", 2, 0)

    assert answer.status == 200
    assert answer.json.keys() == UNDECIDED.keys()
    async with Ledger(tmp_path / "covers.db").choices() as choices:
        choice = (await choices.entry(2)).choice
    assert choice.decided_at is not None
    assert before <= choice.decided_at <= datetime.now(UTC)
    assert choice.to_dict() == answer.json
    assert (choice.decision, choice.image, choice.decided_by) == (Decision.IMAGE, 2, "Ann")


async def test_every_decision_can_be_made_and_undone(page: Page) -> None:
    steps = [("image", 1), ("neither", None), ("later", None), ("image", 2), ("undecided", None)]
    for revision, (decision, image) in enumerate(steps):
        choice = (await page.choose(1, decision, image, revision)).json
        assert (choice["decision"], choice["image"]) == (decision, image)
        assert choice["revision"] == revision + 1


async def test_a_stale_revision_is_refused_with_who_was_first_and_when(page: Page) -> None:
    token = page.urls["Ben"].partition("token=")[2]
    began = await page.send("POST", "api/session", {"token": token}, cookie=None)
    ben = attrs.evolve(page, session=began.headers["set-cookie"].partition(";")[0])
    first = (await ben.choose(1, "image", 2, 0)).json

    late = await page.choose(1, "neither", None, 0)

    moment = datetime.fromisoformat(first["decided_at"]).astimezone()
    assert late.status == 409
    assert late.json["error"].startswith(f"Ben chose image 2 at {moment:%H:%M}")
    assert late.json["pair"] == (await page.get("api/pairs/1")).json
    assert late.json["pair"]["choice"] == first
    assert (await page.choose(1, "neither", None, 1)).status == 200


async def test_a_choice_that_is_sent_again_after_a_lost_answer_is_one_choice(page: Page) -> None:
    first, second = [await page.choose(1, "image", 1, 0) for _ in range(2)]

    assert (first.status, second.status) == (200, 200)
    assert first.json == second.json


async def test_of_two_who_choose_at_once_one_is_told_of_the_other(page: Page) -> None:
    answers = await asyncio.gather(
        *(page.choose(1, "image", 1 + place % 2, 0) for place in range(10))
    )

    statuses = {answer.status for answer in answers}
    assert statuses == {200, 409}
    [chosen] = {answer.json["image"] for answer in answers if answer.status == 200}
    assert all(
        answer.json["pair"]["choice"]["image"] == chosen
        for answer in answers
        if answer.status == 409
    )


async def test_new_covers_appear_without_a_restart(page: Page, tmp_path: Path) -> None:
    async with Ledger(tmp_path / "covers.db") as ledger:
        await add_saved(ledger, [Track("new", title="New")], tmp_path / "covers")
        while_it_is_open = (await page.get("api/summary")).json["counts"]

    assert while_it_is_open == counts(undecided=4)
    assert (await page.get("api/pairs?after=3")).json["pairs"][0]["title"] == "New"


async def test_a_page_without_covers_is_served_until_there_are_some(tmp_path: Path) -> None:
    async with entered(await a_ledger(tmp_path, [])) as page:
        empty = (await page.get("api/pairs")).json
        async with Ledger(tmp_path / "covers.db") as ledger:
            await add_saved(ledger, [Track("new")], tmp_path / "covers")

        assert empty == {"pairs": [], "next": None, "counts": counts()}
        assert await numbers(page, "") == [1]


async def test_an_image_is_sent_as_it_is_and_may_be_kept_by_its_url(
    page: Page, tmp_path: Path
) -> None:
    [first, _] = (await page.get("api/pairs/1")).json["images"]
    image = await page.get(first["url"])

    assert first["url"].startswith("images/1/1?v=")
    assert image.body == (tmp_path / "covers/m1-0-1.png").read_bytes()
    assert image.headers["content-type"] == "image/png"
    assert image.headers["cache-control"] == "private, max-age=31536000, immutable"
    for path in ("images/1/1", "images/1/1?v=", "images/1/1?v=0123456789abcdef"):
        other = await page.get(path)
        assert other.body == image.body
        assert other.headers["cache-control"] == "no-store"


async def test_a_thumbnail_is_small_and_may_be_kept_as_well(page: Page, tmp_path: Path) -> None:
    (tmp_path / "covers/m1-0-1.png").write_bytes(draw("m1", 1, 400))
    [first, _] = (await page.get("api/pairs/1")).json["images"]
    answer = await page.get(f"{first['url']}&size=64")

    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    with Image.open(io.BytesIO(answer.body)) as image:
        assert image.size == (64, 64)
    assert (first["width"], first["height"]) == (400, 400)


async def test_a_changed_image_has_another_url(page: Page, tmp_path: Path) -> None:
    [before, same] = (await page.get("api/pairs/1")).json["images"]
    (tmp_path / "covers/m1-0-1.png").write_bytes(draw("other", 1, SIDE * 2))
    [after, still] = (await page.get("api/pairs/1")).json["images"]

    assert after["url"] != before["url"]
    assert still == same
    assert (await page.get(before["url"])).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("content", [HTML, SVG])
async def test_what_is_no_image_is_never_sent_whatever_its_name(
    content: bytes, page: Page, tmp_path: Path
) -> None:
    (tmp_path / "covers/m1-0-1.png").write_bytes(content)

    [first, _] = (await page.get("api/pairs/1")).json["images"]
    answers = [await page.get(f"images/1/1{query}") for query in ("", "?size=64", "?v=")]

    assert (
        first["problem"]
        == f"the file is no PNG, JPEG, WebP, GIF or AVIF image: {tmp_path}/covers/m1-0-1.png"
    )
    for answer in answers:
        assert (answer.status, answer.error) == (404, first["problem"])
        assert answer.headers["content-type"] == "application/json; charset=utf-8"


async def test_a_missing_image_is_a_problem_of_its_own_alone(page: Page, tmp_path: Path) -> None:
    (tmp_path / "covers/m1-0-1.png").unlink()

    [first, second] = (await page.get("api/pairs/1")).json["images"]

    assert first["problem"] == f"the file is missing: {tmp_path}/covers/m1-0-1.png"
    assert second["problem"] is None
    assert (await page.get("images/1/1")).error == first["problem"]
    assert (await page.get("images/1/2?size=64")).status == 200
    assert (await page.choose(1, "image", 2, 0)).status == 200


async def test_what_only_decoding_shows_is_a_problem_of_the_pair_from_then_on(
    page: Page, tmp_path: Path
) -> None:
    path = tmp_path / "covers/m1-0-1.png"
    Image.effect_noise((300, 300), 90).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-5_000])
    before = (await page.get("api/pairs/1")).json["images"][0]
    answer = await page.get("images/1/1?size=64")
    after = (await page.get("api/pairs/1")).json["images"][0]

    assert before["problem"] is None
    assert (answer.status, answer.error) == (404, f"the image is damaged: {path}")
    assert after["problem"] == answer.error


async def test_titles_and_columns_are_sent_as_text(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>\u202e\x1b[2J"
    track = Track("m", title=hostile, columns={hostile: hostile, "artist": hostile})
    async with entered(await a_ledger(tmp_path, [track])) as page:
        answer = await page.get("api/pairs/1")

    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    pair = answer.json
    assert (pair["title"], pair["artist"], pair["columns"]) == (
        hostile,
        hostile,
        {hostile: hostile},
    )


async def test_what_will_be_written_is_shown_for_the_choice_that_stands(tmp_path: Path) -> None:
    def destinations(entry: LedgerEntry) -> list[str]:
        return [f"artwork/{entry.tracks[0].title}.jpg of image {entry.choice.image}"]

    async with entered(await a_ledger(tmp_path), destinations=destinations) as page:
        await page.choose(1, "image", 2, 0)

        assert (await page.get("api/pairs/1")).json["destinations"] == [
            "artwork/Song 1.jpg of image 2"
        ]


async def test_a_function_of_the_user_that_fails_is_logged_and_not_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def destinations(_: LedgerEntry) -> list[str]:
        raise RuntimeError("a secret path")

    async with entered(await a_ledger(tmp_path), destinations=destinations) as page:
        answer = await page.get("api/pairs/1")

    assert (answer.status, answer.error) == (500, "the request failed; see the log")
    assert "a secret path" in caplog.text


async def test_a_ledger_that_cannot_be_used_any_more_is_told(page: Page, tmp_path: Path) -> None:
    for name in ("covers.db", "covers.db-wal", "covers.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "covers.db").write_text("something else")

    answer = await page.choose(1, "image", 1, 0)

    assert answer.status == 503
    assert "covers.db" in answer.error


@contextlib.asynccontextmanager
async def mounted(app: web.Application, prefix: str = "/review/") -> AsyncGenerator[Page, None]:
    """Serve an application that is mounted in another one."""
    outer = web.Application()
    outer.add_subapp(prefix, app)
    runner = web.AppRunner(outer, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield Page(runner.addresses[0][1], prefix=prefix)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("prefix", ["/review/", "/a/b/c/"])
async def test_a_mounted_page_works_below_any_prefix(prefix: str, tmp_path: Path) -> None:
    path = await a_ledger(tmp_path)
    async with mounted(review_app(path, next_step="go on"), prefix) as page:
        chosen = await page.choose(1, "image", 1, 0)
        pair = (await page.get("api/pairs/1")).json
        image = await page.get(pair["images"][0]["url"])
        files = [await page.get(name) for name in ("", "style.css", "review.js")]
        summary = (await page.get("api/summary")).json

    assert chosen.json["decided_by"] == "somebody"
    assert image.status == 200
    assert [file.status for file in files] == [200, 200, 200]
    assert (summary["person"], summary["next_step"]) == ("somebody", "go on")


async def test_the_owners_application_decides_who_may_open_it_and_who_chose(
    tmp_path: Path,
) -> None:
    def person(request: web.Request) -> str:
        return request.headers["X-User"]

    app = review_app(Ledger(await a_ledger(tmp_path)), person=person)
    async with mounted(app) as page:
        body = {"decision": "image", "image": 1, "revision": 0}
        chosen = await page.send("PUT", "api/pairs/1/choice", body, x_user="Cleo")

    assert chosen.json["decided_by"] == "Cleo"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": None}, 403),
        ({"content_type": "text/plain"}, 415),
    ],
)
async def test_a_mounted_page_refuses_other_sites_too(
    change: dict[str, Any], status: int, tmp_path: Path
) -> None:
    async with mounted(review_app(await a_ledger(tmp_path))) as page:
        body = {"decision": "image", "image": 1, "revision": 0}
        refused = await page.send("PUT", "api/pairs/1/choice", body, **change)
        read = await page.get("api/pairs", sec_fetch_site="cross-site")
        missing = await page.get("nothing")
        large = await page.send("PUT", "api/pairs/1/choice", b" " * 5000)

    assert (refused.status, read.status, missing.status, large.status) == (status, 403, 404, 413)
    for answer in (refused, read, missing, large):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
        assert answer.error


async def test_a_mounted_page_behind_tls_takes_the_origin_of_https(tmp_path: Path) -> None:
    async with mounted(review_app(await a_ledger(tmp_path))) as page:
        page.scheme = "https"
        assert (await page.choose(1, "image", 1, 0)).status == 200


async def test_the_address_without_its_last_slash_leads_to_the_page(tmp_path: Path) -> None:
    async with mounted(review_app(await a_ledger(tmp_path))) as page:
        unslashed = attrs.evolve(page, prefix="/review")
        answers = [await unslashed.get("", sec_fetch_site=site) for site in ("none", "cross-site")]

    for answer in answers:
        assert (answer.status, answer.headers["location"]) == (307, "review/")


def test_without_pillow_the_error_names_the_extra() -> None:
    script = """
import sys
sys.modules["PIL"] = None
try:
    import suno_cover_async.review
except ImportError as error:
    print(error)
"""
    ended = subprocess.run(  # noqa: S603 - our own interpreter
        (sys.executable, "-c", script), capture_output=True, text=True, check=True
    )

    assert (
        ended.stdout == "artwork and the review page need Pillow 11.3: "
        "pip install 'suno-cover-async[artwork]'\n"
    )
