"""What a client needs of a receiver, so that one without callbacks loads no door for them.

It knows the notifier; who is let in to ring it is `receiver.py`'s.
"""

from typing import Protocol

from suno_cover_async.notifier import Notifier


class Receiver(Protocol):
    """Where the API calls, and what rings then: a `CallbackReceiver`."""

    @property
    def notifier(self) -> Notifier:
        """What is rung, and where clients listen."""
        ...

    def url(self, music_task_id: str) -> str:
        """Mint the callback URL of a music task."""
        ...


def checked(name: str, value: Receiver) -> Receiver:
    """Check that it is a receiver.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(getattr(value, "notifier", None), Notifier):
        raise TypeError(f"{name} must be a CallbackReceiver, not {value!r:.80}")
    return value
