"""The queue of unread outcomes, and what is left of a run."""

import asyncio
from pathlib import Path

from PIL import Image

from suno_cover_async import CoverDetails, Covered, CoverStatus, Progress, Track
from suno_cover_async.batch.outcomes import OutcomeQueue

MOST = 1_000


def covered(number: int) -> Covered:
    details = CoverDetails(cover_task_id=f"c{number}", status=CoverStatus.SUCCESS)
    return Covered(track=Track(f"m{number}"), details=details)


async def test_outcomes_come_in_their_order_and_then_none_without_end() -> None:
    queue, outcomes = OutcomeQueue(), [covered(number) for number in range(3)]
    await queue.put(outcomes)
    queue.end()

    assert [await queue.get() for _ in range(5)] == [*outcomes, None, None]


async def test_the_1001st_waits_until_one_is_read() -> None:
    queue = OutcomeQueue()
    await queue.put(covered(number) for number in range(MOST))
    putting = asyncio.create_task(queue.put([covered(MOST)]))
    fitting = asyncio.create_task(queue.has_capacity())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not putting.done()
    assert not fitting.done()
    await queue.get()
    await putting
    assert not fitting.done()  # it is full again
    await queue.get()
    await fitting


def test_what_is_neither_done_nor_failed_is_left() -> None:
    assert Progress(total=10, done=5, failed=2, in_flight=1).left == 3


def test_a_notebook_shows_the_saved_images_of_an_outcome_or_else_links(tmp_path: Path) -> None:
    file = tmp_path / "cover.png"
    Image.new("RGB", (32, 32)).save(file)
    details = CoverDetails(
        cover_task_id="c", status=CoverStatus.SUCCESS, images=("https://a.example/1.png",)
    )
    track = Track("m", title="<b>Song</b>")

    saved = Covered(track=track, details=details, files=(file,))._repr_html_()
    linked = Covered(track=track, details=details)._repr_html_()

    assert 'src="data:image/jpeg;base64,' in saved
    assert "<img" not in linked
    assert "https://a.example/1.png" in linked
    assert "&lt;b&gt;Song" in saved
