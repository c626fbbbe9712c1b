"""Cover art for finished AI-generated songs, without ever paying twice."""

__version__ = "0.1.0"
