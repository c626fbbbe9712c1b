"""What keys and their buttons do, and when they do nothing."""

import pytest

from tests.support.browsers import Review, expect

from .conftest import Start
