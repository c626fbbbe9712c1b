"""What a database's URL says, which URLs are refused, and that no secret of one is shown."""

import copy
import pickle
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from suno_cover_async.postgres.url import DatabaseUrl, is_postgres_url, names_database
from tests.support.canary import Search
from tests.support.postgres import PASSWORD

PLAIN = "postgresql://label@db.example:5433/covers"
WITH_PASSWORD = PLAIN.replace("label@", f"label:{quote(PASSWORD, safe='')}@")
WITH_SECRETS = [
    WITH_PASSWORD,
    f"{PLAIN}?password={quote(PASSWORD)}",
    f"{PLAIN}?pass%77ord={quote(PASSWORD)}",
    f"{PLAIN}?connect_timeout=1&sslpassword={quote(PASSWORD, safe='')}",
]


@pytest.mark.parametrize(
    ("url", "means", "shown"),
    [
        (PLAIN, "user=label host=db.example port=5433 dbname=covers", PLAIN),
        ("postgres://h/d", "host=h dbname=d", "postgresql://h/d"),
        ("POSTGRESQL://h/d", "host=h dbname=d", "postgresql://h/d"),
        ("postgresql://h/d?", "host=h dbname=d", "postgresql://h/d"),
        ("postgresql://", "", "postgresql://"),
        ("postgresql:///d", "dbname=d", "postgresql:///d"),
        ("postgresql://u@h", "user=u host=h", "postgresql://u@h"),
        (
            "postgresql://u@a:1,b:2/d?target_session_attrs=any",
            "user=u host=a,b port=1,2 dbname=d target_session_attrs=any",
            "postgresql://u@a:1,b:2/d",
        ),
        ("postgresql://[::1]:5/d", "host=::1 port=5 dbname=d", "postgresql://[::1]:5/d"),
        (
            "postgresql://a,[fe80::1%25eth0]/d",
            "host=a,fe80::1%eth0 port=, dbname=d",
            "postgresql://a,[fe80::1%25eth0]/d",
        ),
        ("postgresql:///d?host=/run/x", "host=/run/x dbname=d", "postgresql:///d?host=/run/x"),
        ("postgresql://%2Frun%2Fx/d", "host=/run/x dbname=d", "postgresql://%2Frun%2Fx/d"),
        (
            "postgresql://b%40x@h/a%2Fb?sslmode=require",
            "user=b@x host=h dbname=a/b sslmode=require",
            "postgresql://b%40x@h/a%2Fb",
        ),
        (
            "postgresql://u@h/d?options=-c%20geqo%3Doff&user=bob&port=9",
            r"user=bob host=h port=9 dbname=d options='-c geqo=off'",
            "postgresql://u@h/d?user=bob&port=9",
        ),
        (
            "postgresql://u@h/d?password=a+b",
            "user=u host=h dbname=d password=a+b",
            "postgresql://u@h/d",
        ),
        ("postgresql://u:a+b@h/d", "user=u host=h dbname=d password=a+b", "postgresql://u@h/d"),
        ("postgresql://u:a:b@h", "user=u host=h password=a:b", "postgresql://u@h"),
        ("postgresql://:p@h/d", "host=h dbname=d password=p", "postgresql://h/d"),
    ],
)
def test_the_driver_gets_what_the_url_says_and_messages_show_where_it_leads(
    url: str, means: str, shown: str
) -> None:
    read = DatabaseUrl.parse(url)

    assert conninfo_to_dict(read.conninfo) == conninfo_to_dict(means)
    assert read.shown == shown
    assert read.schema == "suno_cover"
    assert read.has_password == ("password" in means)


@pytest.mark.parametrize("query", ["schema=label_a", "schema=label%5Fa", "schema=x&schema=label_a"])
@pytest.mark.parametrize("more", ["", "sslmode=require"])
def test_our_own_parameter_names_a_schema_and_is_kept_from_the_driver(
    query: str, more: str
) -> None:
    read = DatabaseUrl.parse(f"{PLAIN}?{query}{more and '&'}{more}")

    assert read.schema == "label_a"
    assert read.shown == f"{PLAIN}?schema=label_a"
    assert read.conninfo == f"{PLAIN}{more and '?'}{more}"


@pytest.mark.parametrize(
    "schema", ["", "Label", "a-b", "a.b", "9a", "pg_x", "a" * 64, "a%22b", "%C3%BC", "a%0A"]
)
def test_a_schema_whose_name_would_need_quotes_is_refused_and_said(schema: str) -> None:
    with pytest.raises(ValueError, match="small letters, digits and _") as refused:
        DatabaseUrl.parse(f"{WITH_PASSWORD}?schema={schema}")

    assert_hidden(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "ledger.db",
            "host=h password=secret",
            "mysql://u:secret@h/d",
            "postgresql:u:secret@h",
        ),
        "postgresql+psycopg://u:secret@h/d",
        "postgresql://u:sec@ret@h/d",  # libpq would ask for the host ret@h
        "postgresql://u:sec/ret@h/d",  # libpq would ask for the host u
        "postgresql://u:12/secret@h/d",
        "postgresql://u:sec?ret@h/d",
        "postgresql://u:sec#ret@h/d",
        "postgresql://u:sec ret@h/d",
        "postgresql://u:sec\nret@h/d",
        "postgresql://u:sec\x00ret@h/d",
        "postgresql://u:sec\u202eret@h/d",
        "postgresql://u:sec\ud800ret@h/d",
        "postgresql://u:secret%zz@h/d",
        "postgresql://u:secret%00@h/d",
        "postgresql://u:secret%4",
        "postgresql://u:secret%aa@h/d",  # no UTF-8
        "postgresql://u:secret",  # a host with a port that is none
        "postgresql://u:secret@h:port/d",
        "postgresql://u:secret@[::1/d",
        "postgresql://u:secret@::1/d",
        "postgresql://u:secret@a:1,b:x/d",
        "postgresql://u:secret@h/d#x",
        "postgresql://h?password=secret@h",  # libpq would take all of it for a user
        "postgresql://u:secret@h/d?x",
        "postgresql://u:secret@h/d?x=1&",
        "postgresql://u:secret@h/d?=1",
        "postgresql://u:secret@h/d?x=1=2",
    ],
)
def test_what_is_no_url_is_refused_with_what_one_is_and_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="such as postgresql://user@host:5432/database") as refused:
        DatabaseUrl.parse(url)

    assert "%40 for @" in str(refused.value)
    assert not any(part in str(refused.value) for part in ("sec", "ret", "u:"))


@pytest.mark.parametrize(
    ("value", "whether"),
    [
        *((one, True) for one in ("postgresql://h/d", "postgres://", "PostgreSQL://h")),
        ("postgresql+psycopg://h/d", True),  # to be refused as a URL, and be no file's name
        *(
            (one, False)
            for one in ("postgresql", "postgresql:x", "my://postgresql://", "", None, 1)
        ),
    ],
)
def test_a_url_is_told_from_the_path_of_a_file(value: object, whether: bool) -> None:
    assert is_postgres_url(value) is whether


@pytest.mark.parametrize("url", ["postgresq://u:secret@h/d", "mysql://u:secret@h/d", "://secret"])
def test_another_url_is_neither_a_database_nor_a_path_and_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="not a URL of PostgreSQL") as refused:
        names_database(url)

    assert "postgresql://user@host/database), and no path" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert names_database(WITH_PASSWORD)
    assert not any(names_database(path) for path in ("covers.db", "c:/x", Path("a://b"), None))


def assert_hidden(error: BaseException) -> None:
    search = Search(PASSWORD, quote(PASSWORD, safe=""), piece=8)
    search.error("error", error)
    assert search.hits == {}
    assert search.searched


@pytest.mark.parametrize("url", WITH_SECRETS)
def test_a_secret_is_in_no_repr_copy_or_pickle(url: str) -> None:
    read = DatabaseUrl.parse(url)

    search = Search(PASSWORD, piece=8)
    search.value("url", read)
    search.text("attributes", repr({name: getattr(read, name) for name in ("shown", "schema")}))

    assert search.hits == {}
    assert read.has_password
    with pytest.raises(TypeError, match="it is not pickled"):
        pickle.dumps(read)
    assert copy.copy(read) == read
    assert read != DatabaseUrl.parse(PLAIN)


@pytest.mark.parametrize("wrong", ["#", "?schema=A", "@h"])
def test_a_secret_is_in_no_frame_of_the_error_about_its_url(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"it is no URL|its schema") as refused:
        DatabaseUrl.parse(WITH_PASSWORD + wrong)

    assert_hidden(refused.value)


@pytest.mark.parametrize("form", [PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD)])
def test_a_secret_in_a_text_is_hidden_as_it_is_and_as_it_is_in_urls(form: str) -> None:
    assert DatabaseUrl.parse(PLAIN).hide("no\n such: x") == "no such: x"
    for url in WITH_SECRETS:
        assert DatabaseUrl.parse(url).hide(f"wrong {form}!\nTry") == "wrong ***! Try"


def test_of_two_secrets_one_within_the_other_nothing_remains() -> None:
    for one, other in (("key", "key-and-more"), ("key-and-more", "key")):
        url = DatabaseUrl.parse(f"postgresql://u:{one}@h/d?sslpassword={other}")

        assert url.hide("a key-and-more, a key") == "a ***, a ***"


PIECES = [
    *"ab1:@/?#[]%,=& .",
    "%40",
    "?user=",
    "&password=",
    "?password=",
    "&host=",
    "[::1]",
    "u:p@",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join).map("postgresql://{}".format))
@settings(max_examples=1000)
def test_whatever_the_driver_takes_for_a_password_is_hidden(url: str) -> None:
    try:
        read = DatabaseUrl.parse(url)
    except ValueError:
        return
    try:
        means = conninfo_to_dict(read.conninfo)
    except ProgrammingError:
        return
    password = str(means.get("password", ""))
    assert read.has_password or not password
    assert read.hide(password) == ("***" if password else "")
    assert conninfo_to_dict(read.shown) == {
        name: v for name, v in means.items() if name != "password"
    }
