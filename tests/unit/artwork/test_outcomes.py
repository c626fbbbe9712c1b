import json
from pathlib import Path

from suno_cover_async.artwork.convert import Converted
from suno_cover_async.artwork.outcomes import Applied, NotApplied, NotChosen
from suno_cover_async.models import Decision, Track

TRACK = Track("a1", title="A")


def test_outcomes_are_plain_data_and_are_read_back() -> None:
    converted = Converted(
        width=1, height=1, source_width=2, source_height=2, sha256="aa", source_sha256="bb"
    )
    outcomes = (
        Applied(track=TRACK, image=1, file=Path("x.jpg"), is_new=True, converted=converted),
        Applied(track=TRACK, image=2, file=Path("x.jpg"), is_new=False, sidecar=Path("x.json")),
        NotApplied(track=TRACK, image=1, reason="the file is missing: x"),
        NotChosen(track=TRACK, decision=Decision.LATER),
    )

    for outcome in outcomes:
        text = json.dumps(outcome.to_dict())
        assert type(outcome).from_dict(json.loads(text)) == outcome
