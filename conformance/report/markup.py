"""Builds HTML in which every text is escaped, because only this module makes markup."""

from __future__ import annotations

from html import escape
from typing import TypeAlias

_VOID = frozenset({"meta", "br", "hr", "input"})


class Markup:
    """A piece of finished HTML."""

    __slots__ = ("html",)

    def __init__(self, html: str) -> None:
        self.html = html

    def __str__(self) -> str:
        return self.html


Child: TypeAlias = "Markup | str | None"
"""Markup is taken as it is, text is escaped, None is left out."""


def tag(name: str, attributes: dict[str, str | None] | None = None, *children: Child) -> Markup:
    """Return an element. An attribute whose value is None is left out, one whose value is empty stands alone."""
    parts = [name]
    for key, value in (attributes or {}).items():
        if value is not None:
            parts.append(f'{key}="{escape(value, quote=True)}"' if value else key)
    opening = f"<{' '.join(parts)}>"
    if name in _VOID:
        return Markup(opening)
    return Markup(opening + join(*children).html + f"</{name}>")


def join(*children: Child) -> Markup:
    """Return the children one after the other."""
    return Markup("".join(_render(child) for child in children))


def _render(child: Child) -> str:
    if child is None:
        return ""
    return child.html if isinstance(child, Markup) else escape(child, quote=False)
