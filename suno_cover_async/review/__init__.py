"""A local page on which a person chooses one of the images of each cover.

It owns the HTTP interface to the choices in a ledger, who may use it, and thumbnails. It must not
know how choices are stored, and it writes no file. Open `app.py` first: it has the routes.
`server.py` runs the page for the command line; `review_app` mounts it in another application.
"""

from suno_cover_async.review.app import Person, review_app
from suno_cover_async.review.pairs import Destinations

__all__ = ["Destinations", "Person", "review_app"]
