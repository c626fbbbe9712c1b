"""A quick form of `model.py`: the same machines, with a fixed seed."""

import pytest

from tests.proof.model_rules import Callers, Catalogs, SharedCatalogs, play

HAPPENED = [
    "bills whose answer was lost",
    "cover tasks adopted",
    "submit: lost request",
    "submit: lost answer",
    "submit: server error after",
    "submit: gateway after",
    "submit: slow",
    "submit: refused with 429",
    "submit ended by RateLimitError",
    "details: lost answer",
    "generate ended by CoverDetails",
    "generate ended by CoverFailedError",
    "generate ended by CoverTimeoutError",
    "generate: cancelled",
    "submit: cancelled",
    "callbacks early",
    "callbacks late",
    "callbacks doubled",
    "callbacks lost",
    "callbacks forged",
    "callbacks of the model's, answered 200",
    "callbacks of another cover, to a valid URL",
    "lies told",
    "outages",
    "clients closed",
    "crashes",
    "open submits at a crash, billed",
    "runs left early",
    "runs left at once",
    "runs finished early",
    "submit: refused with 402",
    "checks of tracks that are saved",
    "checks of tracks that are failed",
    "checks of tracks that are attention",
    "tracks that are saved in the end",
    "images with a fault",
]


OF_CATALOGS = [
    "crashes",
    "open submits at a crash, billed",
    "runs left early",
    "runs left at once",
    "runs finished early",
    "cover tasks adopted",
    "tracks that are saved in the end",
]


def test_whatever_happens_all_is_paid_once_known_to_somebody_and_final_in_the_end() -> None:
    events = play(Callers, 20, 25, seed=4, fresh=5) + play(Catalogs, 16, 25, seed=4, fresh=4)

    missing = [event for event in HAPPENED if not events[event]]
    assert missing == []


def test_with_a_ledger_in_a_database_it_is_so_as_well(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedCatalogs, "database", database_url)

    events = play(SharedCatalogs, 16, 25, seed=4, fresh=6)

    missing = [event for event in OF_CATALOGS if not events[event]]
    assert missing == []
