"""Who gets in: tokens that are good once, and cookies."""

import re
from pathlib import Path

import pytest

from tests.support.review_pages import a_ledger, serving


def token_of(url: str) -> str:
    return url.partition("?token=")[2]


@pytest.fixture
async def ledger(tmp_path: Path) -> Path:
    return await a_ledger(tmp_path)


async def test_a_token_becomes_a_cookie_and_leaves_the_address_bar(ledger: Path) -> None:
    async with serving(ledger) as page:
        answer = await page.get(f"?token={token_of(page.urls['Ann'])}")

        assert answer.status == 303
        assert answer.headers["location"] == "./"
        cookie = re.fullmatch(
            rf"suno-review-{page.port}=([\w-]{{43}}); HttpOnly; Path=/; SameSite=Strict",
            answer.headers["set-cookie"],
        )
        assert cookie is not None
        assert cookie[1] != token_of(page.urls["Ann"])
        entered = await page.get("api/summary", cookie=f"suno-review-{page.port}={cookie[1]}")
        assert entered.json["person"] == "Ann"


async def test_a_page_that_is_open_begins_a_session_without_a_reload(ledger: Path) -> None:
    async with serving(ledger) as page:
        answer = await page.send("POST", "api/session", {"token": token_of(page.urls["Ben"])})
        page.session = answer.headers["set-cookie"].partition(";")[0]

        assert (answer.status, answer.body) == (204, b"")
        assert (await page.get("api/summary")).json["person"] == "Ben"


async def test_a_token_is_good_once_and_the_next_one_is_told(ledger: Path) -> None:
    async with serving(ledger) as page:
        first = page.urls["Ann"]
        await page.enter()
        again = await page.get(f"?token={token_of(first)}", cookie=None)
        posted = await page.send("POST", "api/session", {"token": token_of(first)})
        [(person, url)] = page.renewed
        second = await page.get(f"?token={token_of(url)}", cookie=None)

        assert (again.status, posted.status, second.status) == (401, 401, 303)
        assert person == "Ann"
        assert url.partition("=")[0] == first.partition("=")[0]
        assert "set-cookie" not in again.headers
        assert again.headers["content-type"] == "text/plain; charset=utf-8"
        assert b"Take the newest URL of the terminal" in again.body
        assert "newest URL" in posted.error
        assert len({token_of(one) for one in (first, url, page.renewed[1][1])}) == 3


@pytest.mark.parametrize(
    "cookies",
    [
        'a="b; {own}; c="',
        '{own}; c="',
        '{{"a":1}}; {own}',
        "{name}=x; {own}",
        "{own}; {name}=x",
        "é=ü;{own}",
    ],
)
async def test_cookies_of_other_ports_end_no_session(ledger: Path, cookies: str) -> None:
    async with serving(ledger) as page:
        await page.enter()
        assert page.session is not None
        name, _, value = page.session.partition("=")
        sent = cookies.format(own=page.session, name=name)

        assert (await page.get("api/summary", cookie=sent)).status == 200
        assert (await page.get("api/summary", cookie=f"x{name}={value}")).status == 401
        assert (await page.get("api/summary", cookie=f"{name}={value}x; {name}")).status == 401


async def test_a_second_browser_leaves_the_first_in(ledger: Path) -> None:
    async with serving(ledger) as page:
        await page.enter()
        first = page.session
        answer = await page.get(f"?token={token_of(page.renewed[0][1])}", cookie=None)
        second = answer.headers["set-cookie"].partition(";")[0]

        for cookie in (first, second):
            assert (await page.get("api/summary", cookie=cookie)).status == 200
        assert first != second


async def test_who_is_in_may_open_an_old_url_again(ledger: Path) -> None:
    async with serving(ledger) as page:
        await page.enter()
        again = await page.get(f"?token={token_of(page.urls['Ann'])}")

        assert (again.status, again.headers["location"]) == (303, "./")
        assert "set-cookie" not in again.headers
        assert len(page.renewed) == 1


@pytest.mark.parametrize("path", ["", "style.css", "review.js"])
async def test_the_files_of_the_page_need_no_session(path: str, ledger: Path) -> None:
    async with serving(ledger) as page:
        assert (await page.get(path)).status == 200


@pytest.mark.parametrize(
    "path",
    ["api/summary", "api/pairs", "api/pairs/1", "images/1/1", "images/1/1?size=64", "nothing"],
)
async def test_everything_else_needs_a_session(path: str, ledger: Path) -> None:
    async with serving(ledger) as page:
        name = f"suno-review-{page.port}"
        cookies = [None, "", f"{name}=", f"{name}=x", f"{name}={token_of(page.urls['Ann'])}"]
        await page.enter()
        assert page.session is not None
        cookies += [page.session[:-1], page.session.replace("suno", "Suno"), f"{name}=\xe9"]
        for cookie in cookies:
            answer = await page.get(path, cookie=cookie)
            assert answer.status == 401, cookie
            assert answer.error.startswith("the page's session ended")


async def test_a_choice_needs_a_session_before_its_body_is_read(ledger: Path) -> None:
    async with serving(ledger) as page:
        answer = await page.ask(
            "PUT",
            "api/pairs/1/choice",
            headers={
                "origin": page.origin,
                "content_type": "application/json",
                "content_length": "4000",
            },
        )

        assert answer.status == 401


async def test_a_session_ends_with_the_server(ledger: Path) -> None:
    async with serving(ledger) as page:
        await page.enter()
        port, session = page.port, page.session
    async with serving(ledger, port=port) as page:
        page.session = session
        ended = await page.get("api/summary")
        old = await page.get(f"?token={token_of(page.urls['Ann'])}x")
        await page.enter()

        assert (ended.status, old.status) == (401, 401)
        assert (await page.get("api/summary")).status == 200


@pytest.mark.parametrize("token", ["", "x", "\N{SNOWMAN}", None, 7, ["a"], {"a": 1}])
async def test_a_wrong_token_begins_no_session(token: object, ledger: Path) -> None:
    async with serving(ledger) as page:
        answer = await page.send("POST", "api/session", {"token": token})

        assert answer.status == 401
        assert "set-cookie" not in answer.headers
        assert page.renewed == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"token": "a", "more": 1}'])
async def test_a_body_that_is_no_token_is_not_understood(body: bytes, ledger: Path) -> None:
    async with serving(ledger) as page:
        assert (await page.send("POST", "api/session", body)).status == 400
