"""Fields that take one of several sections: a key that only one of them has tells which."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from layerlift.emulator.scenario.schema.fields import Section


def key_of(section: type[Section]) -> str:
    """The key that tells a section from the others of its union: its first field."""
    return next(iter(section.model_fields))


def one_of(sections: Sequence[type[Section]], error: str, wanted: str, *, seconds: Any = None) -> Any:
    """Return the type of a field that takes one of these sections or, where `seconds` is a type, a plain number.

    `error` names the mistake to pydantic, and a value that is none of them is answered with `wanted`.
    """
    keys = [key_of(section) for section in sections]

    def tag(value: Any) -> str | None:
        if seconds is not None and isinstance(value, int | float):
            return "<seconds>"
        given = value if isinstance(value, dict) else type(value).model_fields if isinstance(value, Section) else ()
        return next((f"<{key}>" for key in keys if key in given), None)

    # A tag in angle brackets is no key of any document, so that error messages can leave it out of their paths.
    members: list[Any] = [Annotated[section, Tag(f"<{key}>")] for section, key in zip(sections, keys, strict=True)]
    if seconds is not None:
        members.insert(0, Annotated[seconds, Tag("<seconds>")])
    which = Discriminator(tag, custom_error_type=error, custom_error_message=wanted)
    return Annotated[reduce(operator.or_, members), which]
