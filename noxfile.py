"""The project's chores: `nox` runs the tests on every Python that is present; see `nox --list`."""

import shutil
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13"]
if not any(shutil.which(f"python{version}") for version in PYTHONS):
    raise SystemExit(f"none of Python {', '.join(PYTHONS)} is on the path: install one of them")

PYTEST = ("-m", "pytest", "--numprocesses=4")  # some of them wait while others work

# What a wheel might lack, or hold otherwise than the checkout.
OF_THE_WHEEL = ("house", "readme", "client", "sandbox", "cli", "cli_batch", "contact_sheet")

# Side by side with others; each exits with 1 when its goal is missed.
SPEED = ("starting", "call_cost", "downloads", "waiting", "at_the_limit")

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
)

PROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests against this checkout; the oldest Python measures branch coverage as well."""
    session.install("-e", ".[cli]", *group("test"))
    if session.python != PYTHONS[0]:
        session.run("python", *PYTEST, *session.posargs)
        return
    session.run("coverage", "run", *PYTEST, *session.posargs)
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint, and that imports point down the layers."""
    session.install(*group("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types: mypy and pyright, both strict, and that the public surface is complete."""
    session.install("-e", ".[cli]", *group("types"))
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "suno_cover_async")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel and run tests against what it installs, away from the checkout."""
    session.install("build", *group("test"))
    built = Path(session.create_tmp()) / "dist"
    shutil.rmtree(built, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(built), silent=True)
    (made,) = built.glob("*.whl")
    session.install(f"{made}[cli]")
    away = Path(session.create_tmp()) / "away"
    shutil.rmtree(away, ignore_errors=True)
    shutil.copytree("tests", away / "tests")
    shutil.copy("pyproject.toml", away)
    shutil.copy("README.md", away)
    session.chdir(away)
    installed = "import suno_cover_async; assert 'site-packages' in suno_cover_async.__file__"
    session.run("python", "-c", installed)
    session.run("python", *PYTEST, *(f"tests/test_{name}.py" for name in OF_THE_WHEEL))


@nox.session
def speed(session: nox.Session) -> None:
    """Run the side-by-side benchmarks, or those named after `--`; it needs nginx."""
    run_scripts(session, "speed", SPEED)


@nox.session(python=PYTHONS[0])
def proof(session: nox.Session) -> None:
    """Run the long forms of what the promises rest on, or those named after `--`."""
    run_scripts(session, "proof", PROOF)


def run_scripts(session: nox.Session, needs: str, names: tuple[str, ...]) -> None:
    """Run scripts of `benchmarks/`, all of them whatever becomes of one."""
    session.install(".[cli]", *group(needs))
    missed: list[str] = []
    for name in session.posargs or names:
        session.log(name)
        try:
            session.run("python", f"benchmarks/{name}.py")
        except CommandFailed:
            missed.append(name)
    if missed:
        session.error(f"missed: {', '.join(missed)}")
