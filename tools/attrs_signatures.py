"""Show how values are made: an extension of griffe, which reads the docstrings for the site.

griffe reads source code and knows dataclasses. A class of attrs has its `__init__` only once it is
imported, so this imports it, and takes the names and defaults from there.
"""

import inspect
from importlib import import_module
from typing import Any

import attrs
import griffe


class AttrsSignatures(griffe.Extension):
    """Give each class that attrs makes the parameters of its `__init__`."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Add `__init__` to a class that attrs makes."""
        decorators = [str(decorator.value) for decorator in cls.decorators]
        if not any(name.startswith(("attrs.frozen", "attrs.define")) for name in decorators):
            return
        made = getattr(import_module(cls.module.path), cls.name)
        found = inspect.signature(made).parameters.values()
        parameters = griffe.Parameters(*(_parameter(cls, one) for one in found))
        cls.set_member("__init__", griffe.Function("__init__", parameters=parameters))


def _parameter(cls: griffe.Class, found: inspect.Parameter) -> griffe.Parameter:
    """Return a parameter, with the annotation as it is written in the class."""
    field = cls.all_members.get(found.name)
    return griffe.Parameter(
        found.name,
        annotation=getattr(field, "annotation", None),
        kind=griffe.ParameterKind(found.kind.description),
        default=None if found.default is found.empty else _default(field, found.default),
    )


def _default(field: object, default: object) -> str:
    """Return a default as it is written; `...` if each value gets a new one."""
    written = str(getattr(field, "value", None) or "")
    if written and not written.startswith("attrs.field("):
        return written
    return "..." if default is attrs.NOTHING or "NOTHING" in repr(default) else repr(default)
