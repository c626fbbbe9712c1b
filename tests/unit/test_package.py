"""The house rules, kept by machine."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

import suno_cover_async
from suno_cover_async import errors

PACKAGE = Path(suno_cover_async.__file__).parent
TESTS = Path(__file__).parents[1]

WITHOUT_CODE = {"__init__", "__main__", "version", "store"}
"""Names of modules without code of their own: the interface of a store, the version, imports."""

PSYCOPG = ("postgres.", "ledger.postgres.", "fleet.")
"""Where the driver of PostgreSQL may be imported; others import these modules when they need it."""


def modules() -> dict[str, Path]:
    """Every module of the package by its name, such as `http.exchange`."""
    files = [p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts]
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in files}


@cache
def imports(file: Path) -> set[str]:
    """The first names of what a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
    return found


def test_every_module_has_its_test_file() -> None:
    """At its own place below `unit/`, or `integration/`; commands need no folder `commands/`."""
    for name in modules():
        *folders, module = name.split(".")
        places = [
            TESTS.joinpath("unit", *folders),
            TESTS.joinpath("integration", *folders),
            TESTS.joinpath("integration", *folders[:-1]),
        ]
        found = [place for place in places if (place / f"test_{module}.py").exists()]
        assert found or module in WITHOUT_CODE, f"{name} has no test file"


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("backoff", {"resilience"}),
        ("cattrs", {"protocol", "common"}),
        (
            "aiohttp",
            {
                *("network", "http", "images", "callbacks", "covers", "client"),
                *("client_arguments", "sandbox", "review"),
            },
        ),
        ("click", {"cli"}),
        ("platformdirs", {"cli"}),
        ("rich", {"cli"}),
        ("PIL", {"artwork", "images", "sandbox", "review"}),
        ("mutagen", {"artwork"}),
        ("mcp", {"agents"}),
        ("pytest", {"pytest_plugin"}),
        ("opentelemetry", {"telemetry"}),
    ],
)
def test_a_foreign_library_is_imported_where_it_lives(library: str, owners: set[str]) -> None:
    found = {name.split(".")[0] for name, file in modules().items() if library in imports(file)}

    assert found == owners


def test_psycopg_is_imported_where_postgresql_is_asked_alone() -> None:
    found = {name for name, file in modules().items() if "psycopg" in imports(file)}

    assert {name for name in found if not name.startswith(PSYCOPG)} == set()
    assert "postgres.url" not in found  # a URL is told from a path without it


def test_each_folder_says_what_it_owns() -> None:
    for name, file in modules().items():
        if name.endswith("__init__"):
            assert len((ast.get_docstring(ast.parse(file.read_text())) or "").split()) > 10, name


def test_the_package_names_its_folders_and_modules_in_the_order_of_their_layers() -> None:
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    said = (suno_cover_async.__doc__ or "").partition("from the top layer down:")[2]

    named = re.findall(r"`(\w+)`", said)

    order = {name: turn for turn, line in enumerate(layers) for name in line.split(" | ")}
    assert set(named) == set(order) - {"__main__"}
    assert [order[name] for name in named] == sorted(order[name] for name in named)


def test_the_apis_own_words_live_in_codec_alone() -> None:
    words = ("taskId", "successFlag", "callBackUrl", "parentTaskId", "errorMessage")
    for name, file in modules().items():
        nodes = ast.walk(ast.parse(file.read_text()))
        said = {node.value for node in nodes if isinstance(node, ast.Constant)} & set(words)
        if name == "sandbox.music_record":  # it writes for other programs what codec does not read
            said -= {"errorMessage"}
        assert not said or name == "protocol.codec", f"{name} says {said}"


def test_every_public_name_is_in_all_and_documented() -> None:
    read = {
        alias.name: (node.module or "").removeprefix("suno_cover_async.")
        for node in ast.walk(ast.parse(Path(suno_cover_async.__file__).read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module or "").startswith("suno_cover_async.")
    }
    fetched = suno_cover_async._MODULE_OF

    assert read == {**fetched, "__version__": "common.version"}  # by type checkers, and by Python
    assert sorted(read) == sorted(suno_cover_async.__all__)
    for name in fetched:
        value = getattr(suno_cover_async, name)
        assert not isinstance(value, type) or value.__doc__


def test_every_error_is_in_the_tree_drawn_in_its_module() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        if issubclass(kind, Exception):
            assert issubclass(kind, errors.SunoCoverError)
            assert kind.__name__ in (errors.__doc__ or "")
            assert kind.__name__ in suno_cover_async.__all__


OF_ONE_SYSTEM = {
    *("fcntl", "grp", "msvcrt", "posix", "pty", "pwd", "resource", "termios", "tty", "winreg"),
    *("add_signal_handler", "remove_signal_handler", "add_reader", "remove_reader"),
    *("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGWINCH"),
    *("fork", "forkpty", "getuid", "geteuid", "getgid", "setsid", "killpg", "uname", "sync"),
    *("chmod", "chown", "fchmod", "fdatasync", "mkfifo", "statvfs", "sched_getaffinity", "umask"),
    *(
        "O_DIRECTORY",
        "O_NOFOLLOW",
        "O_CLOEXEC",
        "O_NONBLOCK",
        "O_BINARY",
        "AF_UNIX",
        "SO_REUSEPORT",
    ),
    *("AF_UNIX", "POLLIN", "epoll", "kqueue", "open_unix_connection", "start_unix_server"),
}
"""Names of the standard library that Windows, macOS or Linux lacks, or gives another meaning."""

FORMAT_OF_ONE_SYSTEM = re.compile("%[CDeFghklnPrRsTuV+-]")


def is_guard(node: ast.AST) -> bool:
    """Whether an `if` asks for the system, or a `with` passes over what a system lacks."""
    if isinstance(node, ast.If | ast.IfExp):
        return any(word in ast.unparse(node.test) for word in ("sys.platform", "hasattr("))
    return isinstance(node, ast.With) and any(
        "suppress(NotImplementedError" in ast.unparse(item) for item in node.items
    )


def unguarded(node: ast.AST) -> set[str]:
    """The names of one system that stand outside a guard, or before one that returns."""
    if is_guard(node):
        return set()
    names = {getattr(node, field, None) for field in ("id", "attr", "name")}
    found = {str(name) for name in names if name} & OF_ONE_SYSTEM
    for child in ast.iter_child_nodes(node):
        found |= unguarded(child)
        returns = isinstance(child, ast.If) and isinstance(child.body[-1], ast.Return)
        if returns and is_guard(child):
            break  # the rest is for the other systems
    return found


@pytest.mark.parametrize("name", sorted(modules()))
def test_what_only_one_system_has_stands_behind_a_guard(name: str) -> None:
    assert unguarded(ast.parse(modules()[name].read_text())) == set()


@pytest.mark.parametrize("name", sorted(modules()))
def test_no_time_is_written_in_a_format_that_only_one_system_knows(name: str) -> None:
    text = ast.parse(modules()[name].read_text())
    formats = [
        ast.unparse(node.format_spec)
        for node in ast.walk(text)
        if isinstance(node, ast.FormattedValue) and node.format_spec
    ]

    assert [one for one in formats if FORMAT_OF_ONE_SYSTEM.search(one)] == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import fcntl", "fcntl"),
        ("from os import fork", "fork"),
        ("os.chmod(path, 0o600)", "chmod"),
        ("if sys.platform != 'win32':\n    import fcntl", ""),
        ("def f():\n    if sys.platform == 'win32':\n        return 1\n    select.POLLIN", ""),
        (
            "def f():\n    os.fork()\n    if sys.platform == 'win32':\n        return 1",
            "fork",
        ),
        ("with suppress(NotImplementedError):\n    loop.add_signal_handler(2, f)", ""),
        ("with suppress(ValueError):\n    loop.add_reader(2, f)", "add_reader"),
    ],
)
def test_names_of_one_system_are_found_outside_guards_alone(text: str, names: str) -> None:
    assert unguarded(ast.parse(text)) == set(names.split())
