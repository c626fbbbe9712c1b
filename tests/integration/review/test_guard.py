"""Which requests are refused before anything is done, and the headers of every answer."""

from pathlib import Path

import pytest

from tests.support.review_pages import Answer, Page, a_ledger, entered, serving

CHOICE = {"decision": "image", "image": 1, "revision": 0}
REFUSED = "the request is not from this page"
WRONG_HOST = "this is not the host of the page"
PATHS = ["", "review.js", "api/summary", "api/pairs", "images/1/1", "nothing/here", "?token=x"]


async def is_undecided(page: Page) -> bool:
    pair = (await page.get("api/pairs/1")).json
    return bool(pair["choice"]["revision"] == 0)


def hosts_of_this_page(port: int) -> list[str]:
    return [f"127.0.0.1:{port}", f"localhost:{port}", f"LocalHost:{port}", f"[::1]:{port}"]


def foreign_hosts(port: int) -> list[str]:
    return [
        f"evil.example:{port}",
        f"localhost.evil.example:{port}",
        f"127.0.0.1.evil.example:{port}",
        f"localhost.:{port}",
        f"127.0.0.2:{port}",
        f"127.1:{port}",
        f"2130706433:{port}",
        f"[::1%lo]:{port}",
        f"::1:{port}",
        f"192.168.0.7:{port}",
        f"127.0.0.1:{port + 1}",
        f"127.0.0.1:0{port}",
        f"user@127.0.0.1:{port}",
        f"127.0.0.1:{port}, evil.example",
        "127.0.0.1",
        "localhost",
        "evil.example",
        "",
    ]


async def test_the_page_answers_to_its_own_hosts_alone(page: Page) -> None:
    for host in hosts_of_this_page(page.port):
        assert (await page.get("api/summary", host=host)).status == 200, host
    for host in foreign_hosts(page.port):
        answer = await page.get("api/summary", host=host)
        assert (answer.status, answer.error) == (421, WRONG_HOST), host


@pytest.mark.parametrize("path", PATHS)
async def test_a_foreign_host_is_refused_whatever_it_asks_for(path: str, page: Page) -> None:
    answer = await page.get(path, host="evil.example")

    assert (answer.status, answer.error) == (421, WRONG_HOST)
    assert "set-cookie" not in answer.headers


async def test_a_foreign_host_uses_up_no_token(page: Page) -> None:
    token = page.urls["Ben"].partition(f"{page.port}/")[2]
    refused = await page.get(token, host="evil.example", cookie=None)

    entered = await page.get(token, cookie=None)

    assert (refused.status, entered.status) == (421, 303)


async def test_a_missing_or_a_doubled_host_is_refused(page: Page) -> None:
    own = f"Host: {page.host}\r\n"
    for hosts in ("", own + own, own + "Host: evil.example\r\n", "Host: evil.example\r\n" + own):
        head = f"GET /api/summary HTTP/1.1\r\n{hosts}Cookie: {page.session}\r\n"
        answer = await page.raw(f"{head}Connection: close\r\n\r\n".encode())
        assert answer.status in {400, 421}, hosts  # aiohttp's own parser refuses two
        assert b"covers.db" not in answer.body


async def test_a_request_that_names_its_host_twice_over_is_refused(page: Page) -> None:
    for target in (f"http://{page.host}/api/summary", "http://evil.example/api/summary"):
        head = f"GET {target} HTTP/1.1\r\nHost: {page.host}\r\nCookie: {page.session}\r\n"
        answer = await page.raw(f"{head}Connection: close\r\n\r\n".encode())
        assert (answer.status, answer.error) == (421, WRONG_HOST)


async def test_on_more_than_loopback_any_address_and_given_names_are_its_hosts(
    tmp_path: Path,
) -> None:
    path = await a_ledger(tmp_path)
    async with entered(path, host="0.0.0.0", names=["Studio.local"]) as page:  # noqa: S104
        port = page.port
        own = ["192.168.0.7", "127.0.0.2", "[fe80::1]", "studio.local", "localhost"]
        for host in own:
            assert (await page.get("api/summary", host=f"{host}:{port}")).status == 200, host
        for host in ("evil.example", "localhost.", "1.2.3", "[1.2.3.4]", "[::1", "studio"):
            assert (await page.get("api/summary", host=f"{host}:{port}")).status == 421, host
        assert (await page.get("api/summary", host=f"192.168.0.7:{port + 1}")).status == 421


async def test_a_name_is_a_host_only_where_it_was_given(tmp_path: Path) -> None:
    path = await a_ledger(tmp_path)
    async with entered(path, names=["studio.local"]) as page:
        given = await page.get("api/summary", host=f"studio.local:{page.port}")
        other = await page.get("api/summary", host=f"192.168.0.7:{page.port}")

    assert (given.status, other.status) == (200, 421)


async def test_another_address_of_loopback_is_its_own_host(tmp_path: Path) -> None:
    async with serving(await a_ledger(tmp_path), host="127.0.0.2") as page:
        assert page.urls["Ann"].startswith(f"http://127.0.0.2:{page.port}/?token=")


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "",
        "http://evil.example",
        "http://localhost:{port}",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://127.0.0.1:{other}",
        "http://127.0.0.1:{port}.evil.example",
        "http://127.0.0.1:{port}/",
        "http://user@127.0.0.1:{port}",
        "127.0.0.1:{port}",
    ],
)
async def test_a_change_needs_the_origin_of_the_page(origin: str | None, page: Page) -> None:
    given = None if origin is None else origin.format(port=page.port, other=page.port + 1)

    changed = await page.send("PUT", "api/pairs/1/choice", CHOICE, origin=given)
    token = page.urls["Ben"].partition("token=")[2]
    began = await page.send("POST", "api/session", {"token": token}, origin=given)

    assert (changed.status, changed.error) == (403, REFUSED)
    assert (began.status, began.error) == (403, REFUSED)
    assert await is_undecided(page)
    assert page.renewed == [page.renewed[0]]  # Ann's own


async def test_two_origins_are_refused(page: Page) -> None:
    head = (
        f"PUT /api/pairs/1/choice HTTP/1.1\r\nHost: {page.host}\r\nCookie: {page.session}\r\n"
        f"Origin: {page.origin}\r\nOrigin: {page.origin}\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    )

    assert (await page.raw(head.encode())).status in {400, 403}


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json-patch+json",
        "application/jsonx",
    ],
)
async def test_a_body_of_a_form_is_refused(kind: str | None, page: Page) -> None:
    answer = await page.send("PUT", "api/pairs/1/choice", CHOICE, content_type=kind)

    assert (answer.status, answer.error) == (415, "the body must be JSON")
    assert await is_undecided(page)


async def test_json_with_a_charset_is_json(page: Page) -> None:
    kind = "application/json; charset=utf-8"

    answer = await page.send("PUT", "api/pairs/1/choice", CHOICE, content_type=kind)

    assert answer.status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
@pytest.mark.parametrize("path", ["api/summary", "api/pairs", "api/pairs/1", "images/1/1"])
async def test_pages_of_other_sites_get_no_data_and_no_images(
    site: str, path: str, page: Page
) -> None:
    foreign = await page.get(path, sec_fetch_site=site)
    own = [await page.get(path, sec_fetch_site=one) for one in ("same-origin", "none", None)]

    assert (foreign.status, foreign.error) == (403, REFUSED)
    assert [answer.status for answer in own] == [200, 200, 200]


async def test_a_link_in_a_message_may_lead_to_the_page(page: Page) -> None:
    assert (await page.get("", sec_fetch_site="cross-site", cookie=None)).status == 200


async def answers_of_all_kinds(page: Page) -> list[Answer]:
    """Return an answer of each kind."""
    token = page.urls["Ben"].partition("token=")[2]
    return [
        await page.get(""),
        await page.get("style.css"),
        await page.get("api/summary"),
        await page.get("images/1/1"),
        await page.get("images/1/1?size=64"),
        await page.get(f"?token={token}"),
        await page.get("?token=x", cookie=None),
        await page.get("api/summary", cookie=None),
        await page.get("api/summary", sec_fetch_site="cross-site"),
        await page.get("nothing"),
        await page.get("api/pairs?limit=x"),
        await page.get("", host="evil.example"),
        await page.ask("DELETE", "api/summary", headers={}),
        await page.choose(1, "image", 1, 0),
        await page.choose(1, "later", None, 0),
        await page.send("POST", "api/session", {"token": "x"}),
        await page.send("PUT", "api/pairs/1/choice", {}, content_type="text/plain"),
    ]


async def test_every_answer_has_the_headers_that_limit_what_a_browser_does(page: Page) -> None:
    answers = await answers_of_all_kinds(page)

    statuses = [200] * 5 + [303, 401, 401, 403, 404, 400, 421, 403, 200, 409, 401, 415]
    assert [answer.status for answer in answers] == statuses
    for answer in answers:
        policy = answer.headers["content-security-policy"].split("; ")
        assert policy == [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


async def test_every_error_is_one_sentence_in_json(page: Page) -> None:
    errors = [answer for answer in await answers_of_all_kinds(page) if answer.status > 399]

    plain = [answer for answer in errors if answer.headers["content-type"].startswith("text/")]
    assert len(plain) == 1  # of a wrong URL, which a person reads
    for answer in errors:
        if answer not in plain:
            assert isinstance(answer.json["error"], str)
