"""`doctor`: make the checks of `../doctor/`, and write what each found, one line each."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import attrs

from suno_cover_async.cli import settings
from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.doctor.disk import check_folder
from suno_cover_async.cli.doctor.finding import (
    SECONDS,
    Finding,
    State,
    exit_code_of,
    fault,
    is_hanging,
    not_checked,
    within,
)
from suno_cover_async.cli.doctor.ledgers import check_ledger
from suno_cover_async.cli.doctor.network import (
    check_api,
    check_network,
    is_fault,
    unasked,
    way_to,
)
from suno_cover_async.cli.doctor.settings import Checked, check_settings
from suno_cover_async.cli.doctor.shared_limit import check_shared_limit
from suno_cover_async.cli.doctor.versions import check_versions
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.ledger_path import LedgerPath
from suno_cover_async.cli.output.console import result, say, stderr, stdout
from suno_cover_async.cli.output.report import count
from suno_cover_async.cli.process import run

_STYLES = {State.OK: "green", State.WARNING: "yellow", State.FAULT: "bold red"}
_WIDTH = max(map(len, State))
_NO_SETTINGS = "the settings are not known"


def perform(
    *, connection: Connection, into: Path, ledger_path: LedgerPath | None, as_json: bool
) -> int:
    """Make all checks and write what they found; return the exit code."""
    doctor = _Doctor(connection=connection, into=into, ledger=ledger_path, as_json=as_json)
    try:
        return run(doctor.work(), waits_for="the checks")
    finally:
        _leave_hanging_threads(doctor.code)


def _leave_hanging_threads(code: int) -> None:
    """End the process at once if a check hangs: the interpreter would wait for its threads."""
    if is_hanging():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@attrs.define(kw_only=True)
class _Doctor:
    """The checks of one command, and what they found so far."""

    connection: Connection
    into: Path
    ledger: LedgerPath | None
    as_json: bool
    code: int = ExitCode.INTERRUPTED
    findings: list[Finding] = attrs.field(factory=list[Finding])

    async def work(self) -> int:
        """Make the checks that depend on no other at the same time, and write them in order."""
        self._write(check_versions(), Checked(findings=[]))
        checked = await _settings(self.connection)
        self._write(checked.findings, checked)
        tasks = [asyncio.create_task(part) for part in self._parts(checked)]
        try:
            for task in tasks:
                self._write(await task, checked)
        finally:
            for task in tasks:
                task.cancel()
        self.code = exit_code_of(self.findings)
        self._summarise()
        return self.code

    def _parts(self, checked: Checked) -> Sequence[Coroutine[Any, Any, list[Finding]]]:
        account = _account(checked)
        shared = checked.connection is None or settings.shared_limit(checked.connection).value
        parts = [
            _network(checked),
            _blocking("state folder", lambda: check_shared_limit(account, shared=shared)),
            _blocking("images folder", lambda: check_folder("images folder", self.into)),
        ]
        ledger = self.ledger
        if isinstance(ledger, Path):
            folder = ledger.absolute().parent
            parts.append(
                _blocking(
                    "ledger folder",
                    lambda: check_folder("ledger folder", folder, holds_database=True),
                )
            )
        if ledger is not None:
            parts.append(_timed("ledger", lambda: check_ledger(ledger, account)))
        return parts

    def _write(self, findings: list[Finding], checked: Checked) -> None:
        for finding in findings:
            shown = finding.shown(checked.hide)
            self.findings.append(shown)
            if self.as_json:
                result(json.dumps(shown.record()))
            else:
                _show(shown)

    def _summarise(self) -> None:
        faults = sum(one.state is State.FAULT for one in self.findings)
        warnings = sum(one.state is State.WARNING for one in self.findings)
        line = f"{count(faults, 'fault')}, {count(warnings, 'warning')}"
        say(stderr(), line, "red" if faults else "yellow" if warnings else "green")


def _show(finding: Finding) -> None:
    advice = "" if finding.advice is None else f"; {finding.advice}"
    line = f"{finding.state:{_WIDTH}}  {finding.check}: {finding.message}{advice}"
    if stdout().is_terminal:
        say(stdout(), line, _STYLES.get(finding.state, "dim"))
    else:
        result(line)


async def _settings(connection: Connection) -> Checked:
    async def check() -> Checked:
        return check_settings(connection)

    try:
        return await within(check)
    except TimeoutError:
        message = f"a file could not be read within {SECONDS:g} s"
        advice = "check the disk of the config folder and of the key file"
        return Checked(findings=[fault("settings", message, advice)])


def _account(checked: Checked) -> str | None:
    if checked.key is None or checked.connection is None:
        return None
    return checked.key.fingerprint(settings.host(checked.connection).value.name)


async def _network(checked: Checked) -> list[Finding]:
    """Check the way to the API, then the API."""
    connection, base_url = checked.connection, checked.base_url
    names = ("name", "connection", "TLS")
    if connection is None or base_url is None:
        because = _NO_SETTINGS if connection is None else "the base URL is not valid"
        return [*(not_checked(name, because) for name in names), *unasked(because)]
    try:
        way = way_to(connection, base_url)
    except ValueError:
        because = "the proxy's URL is not valid"
        return [*(not_checked(name, because) for name in names), *unasked(because)]
    findings = await check_network(way)
    if is_fault(findings):
        return [*findings, *unasked("the host is not reached")]
    if checked.key is None:
        return [*findings, *unasked("there is no valid key")]
    return [*findings, *await check_api(connection, base_url)]


async def _blocking(check: str, act: Callable[[], list[Finding]]) -> list[Finding]:
    async def called() -> list[Finding]:
        return act()

    return await _timed(check, called)


async def _timed(
    check: str, act: Callable[[], Coroutine[Any, Any, list[Finding]]]
) -> list[Finding]:
    try:
        return await within(act)
    except TimeoutError:
        advice = "check the disk, or the server, that it is on"
        return [fault(check, f"it did not answer within {SECONDS:g} s", advice)]
