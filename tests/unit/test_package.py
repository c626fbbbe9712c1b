"""The house rules, kept by machine."""

import ast
from pathlib import Path

import pytest

import suno_cover_async
from suno_cover_async import errors

PACKAGE = Path(suno_cover_async.__file__).parent
TESTS = Path(__file__).parents[1]

WITHOUT_CODE = {"__init__", "__main__", "version", "store"}
"""Names of modules without code of their own: the interface of a store, the version, imports."""


def modules() -> dict[str, Path]:
    """Every module of the package by its name, such as `http.exchange`."""
    files = [p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts]
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in files}


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
        ("aiohttp", {"common", "http", "images", "callbacks", "covers", "client", "sandbox"}),
        ("click", {"cli"}),
        ("platformdirs", {"cli"}),
        ("rich", {"cli"}),
        ("PIL", {"sandbox", "cli"}),
    ],
)
def test_a_foreign_library_is_imported_where_it_lives(library: str, owners: set[str]) -> None:
    found = {name.split(".")[0] for name, file in modules().items() if library in imports(file)}

    assert found == owners


def test_each_folder_says_what_it_owns() -> None:
    for name, file in modules().items():
        if name.endswith("__init__"):
            assert len((ast.get_docstring(ast.parse(file.read_text())) or "").split()) > 10, name


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
