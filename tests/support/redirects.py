"""Redirects that raw servers answer."""

from tests.support import own_internet

STATUSES = [301, 302, 303, 307, 308]

SAVED = {  # and where from
    "https://images.example/a.png": {(own_internet.PUBLIC, 443)},
    "https://six.example/a.png": {(own_internet.PUBLIC_6, 443)},
    "https://both.example/a.png": {(own_internet.PUBLIC, 443)},
    "https://both-6.example/a.png": {(own_internet.PUBLIC_6, 443)},
    "https://images.example/go/307///six.example/a.png": {
        (own_internet.PUBLIC, 443),
        (own_internet.PUBLIC_6, 443),
    },
}
