"""The version of the package, which the build and the User-Agent read from here."""

__version__ = "0.1.0"
