"""The project's chores: `nox` runs the tests on the Python at hand; see `nox --list`."""

import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = False  # they are skipped, and nox says so

PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
AT_HAND = "{}.{}".format(*sys.version_info)

PYTEST = ("-m", "pytest", "--numprocesses=4", "--dist=worksteal")  # some wait while others work
EVERY_DAY = ("tests/unit", "tests/integration")

# These start the command line, examples and test runs, each a process of its own, hundreds in all.
# The session `wheel` runs them, with what a wheel might lack or hold otherwise than the checkout.
OF_PROGRAMS = (
    "integration/agents",
    "integration/canary",
    "integration/cli",
    "integration/examples",
    "integration/test_pytest_plugin.py",
    "integration/test_shell_blocks.py",
)
OF_THE_WHEEL = (*OF_PROGRAMS, "unit/test_package.py", "integration/test_code_blocks.py")

# What a Python may do otherwise than another: asyncio, sockets, TLS, SQLite, and our own modules.
OF_A_PYTHON = (
    "unit",
    "integration/cancellation",
    "integration/client",
    "integration/events",
    "integration/http",
    "integration/images",
    "integration/ledger",
    "integration/network",
)

# Side by side with others where there are any; each exits with 1 when its goal is missed.
SPEED = (
    "starting",
    "call_cost",
    "downloads",
    "waiting",
    "at_the_limit",
    "shared_limit",
    "shared_ledger",
    "callback_bus",
    "apply",
    "review",
)

# The long forms of what proves the promises; each exits with 1 on a finding.
PROOF = (
    "model",
    "under_fire",
    "fuzz",
    "hostile_callbacks",
    "cancel",
    "long_wait",
    "kill_loop",
    "storm",
    "outages",
    "limit_faults",
    "shared_ledger",
    "full_disk",
)

PROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


def install(session: nox.Session, *packages: str) -> None:
    """Install without compiling: what is imported is compiled then, and most is never imported."""
    session.install("--no-compile", *packages)


def every_day(session: nox.Session) -> tuple[str, ...]:
    """Return what pytest is told to run: what stands after `--`, else all but programs."""
    ignored = (f"--ignore=tests/{name}" for name in OF_PROGRAMS)
    return (*PYTEST, *(session.posargs or (*EVERY_DAY, *ignored)))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the unit and integration tests on the Python at hand; about 12 minutes on two cores.

    Tests of programs are left to `wheel`; `nox -s tests -- tests/integration/cli` runs some here.
    """
    session.log("about 12 minutes on two cores, install included")
    install(session, "-e", ".[cli]", *group("test"))
    session.run("python", *every_day(session))


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the unit tests on every Python that is found, but for the one at hand: see `tests`.

    The oldest also runs those integration tests that depend on the Python.
    """
    if session.python == AT_HAND:
        session.skip("the session tests runs all on this Python")
    install(session, "-e", ".[cli]", *group("test"))
    names = OF_A_PYTHON if session.python == PYTHONS[0] else OF_A_PYTHON[:1]
    session.run("python", *PYTEST, *(session.posargs or (f"tests/{name}" for name in names)))


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure branch coverage by all unit and integration tests, programs included; 35 minutes."""
    install(session, "-e", ".[cli]", *group("test"))
    session.run("coverage", "run", *PYTEST, *EVERY_DAY)
    session.run("coverage", "report")


@nox.session
def short_proof(session: nox.Session) -> None:
    """Run the quick forms of the proofs, with fixed seeds; 8 minutes at most."""
    install(session, "-e", ".[cli]", *group("test"))
    session.run("python", *PYTEST, *(session.posargs or ("tests/proof",)))


@nox.session
def browser(session: nox.Session) -> None:
    """Run the review page's tests in Chromium, which the system installs; about 4 minutes."""
    install(session, "-e", ".[cli]", *group("browser"))
    session.run(
        "python", "-m", "pytest", "--numprocesses=2", *(session.posargs or ("tests/browser",))
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation's site into `site/`, without a warning, and test it in Chromium."""
    install(session, "-e", ".[cli,audio,otel]", *group("docs"))
    session.run("python", "tools/build_site.py")
    session.run("python", "-m", "pytest", "--numprocesses=2", *(session.posargs or ("tests/docs",)))


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint, and that imports point down the layers."""
    install(session, *group("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: mypy for three systems and pyright, strict; the public surface is complete."""
    install(session, "-e", ".[cli]", *group("types"))
    session.run("mypy")
    for system in ("win32", "darwin"):
        session.run("mypy", "--platform", system, "suno_cover_async")
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "suno_cover_async")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the sdist, and from it the wheel; run the sdist's tests against what that installs.

    They are those of programs and of what a wheel might lack; about 12 minutes on two cores.
    """
    install(session, "build", *group("package"))
    built, away = (Path(session.create_tmp()) / name for name in ("dist", "away"))
    for folder in (built, away):
        shutil.rmtree(folder, ignore_errors=True)
    build = ("python", "-m", "build", "--outdir", str(built))
    session.run(*build, "--sdist", silent=True)
    (sdist,) = built.glob("*.tar.gz")
    shutil.unpack_archive(sdist, away, filter="data")
    (source,) = away.iterdir()
    session.run(*build, "--wheel", str(source), silent=True)
    (made,) = built.glob("*.whl")
    install(session, f"{made}[cli]")
    session.run("twine", "check", "--strict", str(sdist), str(made))
    session.run("python", "-m", "pytest", "tests/packaging")
    shutil.rmtree(source / "suno_cover_async")  # what is tested is what the wheel installed
    session.chdir(source)
    installed = "import suno_cover_async; assert 'site-packages' in suno_cover_async.__file__"
    session.run("python", "-c", installed)
    session.run("python", *PYTEST, *(f"tests/{name}" for name in OF_THE_WHEEL))


@nox.session
def speed(session: nox.Session) -> None:
    """Run the side-by-side benchmarks, or those named after `--`; it needs nginx and Chromium."""
    run_all(session, "speed", session.posargs or SPEED, lambda name: [f"benchmarks/{name}.py"])


@nox.session
def proof(session: nox.Session) -> None:
    """Run the long proofs, in about an hour, or those named after `--`."""
    run_all(session, "proof", session.posargs or PROOF, lambda name: ["-m", f"tests.proof.{name}"])


@nox.session
def mutation(session: nox.Session) -> None:
    """Count how many small faults the tests notice, in all folders or those named after `--`."""
    install(session, ".[cli]", *group("mutation"))
    session.run("python", "tests/proof/mutation.py", *session.posargs)


def run_all(
    session: nox.Session, needs: str, names: Iterable[str], command: Callable[[str], list[str]]
) -> None:
    """Run scripts, all of them whatever becomes of one."""
    install(session, ".[cli]", *group(needs))
    missed: list[str] = []
    for name in names:
        session.log(name)
        try:
            session.run("python", *command(name))
        except CommandFailed:
            missed.append(name)
    if missed:
        session.error(f"missed: {', '.join(missed)}")
