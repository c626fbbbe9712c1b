"""The house rules, kept by machine."""

import ast
from pathlib import Path

import pytest

import suno_cover_async
from suno_cover_async import errors

PACKAGE = Path(suno_cover_async.__file__).parent

FLOORS = [
    {"_version", "addresses", "text", "redaction", "formats", "json_text", "records", "delays"},
    {"validation"},
    {"models", "policies", "credentials"},
    {"errors", "durations"},
    {
        "connector",
        "hosts",
        "rate_limiter",
        "loop_local",
        "tasks",
        "signatures",
        "handler",
        "lines",
    },
    {"circuit_breaker", "fields"},
    {"codec", "notifier", "entry", "gateway", "outcomes"},
    {"requests"},
    {"responses", "retry"},
    {"state", "files", "cover_polling", "verification", "catalog", "store", "sqlite_failures"},
    {"poller", "asgi", "sqlite_lock", "sqlite_tables", "exchange"},
    {"transport", "downloader", "receiver", "sandbox", "ledger_steps", "sqlite_file"},
    {"submitter", "error_policy", "sqlite_store"},
    {"ledger"},
    {"queues"},
    {"runtime"},
    {"service"},
    {"client"},
    {"runner"},
    {"__init__"},
    {"cli"},
    {"__main__"},
]


def rooms() -> dict[str, list[Path]]:
    """Every module of the package, and its folders, as rooms with their files."""
    files = [p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts]
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(file.relative_to(PACKAGE).parts[0].removesuffix(".py"), []).append(file)
    return found


def imports(file: Path) -> set[str]:
    """The rooms of ours that a file imports."""
    found: set[str] = set()
    tree = ast.parse(file.read_text())
    for_types = [node for node in tree.body if isinstance(node, ast.If)]  # `if TYPE_CHECKING:`
    not_run = {inner for node in for_types for inner in ast.walk(node)}
    for node in set(ast.walk(tree)) - not_run:
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [node.module]
                if node.module != "suno_cover_async"
                else [f"suno_cover_async.{alias.name}" for alias in node.names]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("suno_cover_async.")}
    return found


def floor_of(room: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if room in floor)


@pytest.mark.parametrize("room", sorted(rooms()))
def test_imports_only_point_down_the_floors(room: str) -> None:
    for file in rooms()[room]:
        for below in imports(file) - {room}:
            if below not in rooms():  # a name of the package itself
                continue
            assert floor_of(below) < floor_of(room), f"{file.name} imports {below}"


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("backoff", {"delays"}),
        ("cattrs", {"codec", "records"}),
        (
            "aiohttp",
            {
                "connector",
                "exchange",
                "downloader",
                "receiver",
                "runtime",
                "service",
                "client",
                "sandbox",
            },
        ),
        ("click", {"cli"}),
        ("rich", {"cli"}),
        ("PIL", {"sandbox", "cli"}),
    ],
)
def test_a_foreign_library_is_imported_where_it_lives(library: str, owners: set[str]) -> None:
    found = {
        room
        for room, files in rooms().items()
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == library)
        or (isinstance(node, ast.Import) and library in {a.name.split(".")[0] for a in node.names})
    }

    assert found == owners


def test_the_apis_own_words_live_in_codec_alone() -> None:
    words = ("taskId", "successFlag", "callBackUrl", "parentTaskId", "errorMessage")
    for room, files in rooms().items():
        for file in files if room != "codec" else []:
            text = ast.unparse(ast.parse(file.read_text()))
            used = {
                node.value
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.Constant) and node.value in words
            }
            assert not used, f"{file} says {used}"


def test_everything_in_the_shop_window_is_in_all_and_documented() -> None:
    read = {
        alias.name: (node.module or "").removeprefix("suno_cover_async.")
        for node in ast.walk(ast.parse(Path(suno_cover_async.__file__).read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module or "").startswith("suno_cover_async.")
    }
    fetched = suno_cover_async._ROOM_OF

    assert read == {**fetched, "__version__": "_version"}  # by type checkers, and by Python
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
