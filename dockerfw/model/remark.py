"""A sentence for people that tells programs which kind of warning it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_Self = TypeVar("_Self", bound="Remark")


class Remark(str):
    """Text with a ``code``, a word such as ``no-interface``; it may go wherever text goes."""

    __slots__ = ("code",)
    code: str

    def __new__(cls: type[_Self], text: str, code: str) -> _Self:
        made = super().__new__(cls, text)
        made.code = code
        return made


def coded(code: str) -> Callable[[Callable[_P, Iterable[str]]], Callable[_P, tuple[Remark, ...]]]:
    """Give all that a function finds this code; what has one keeps it."""

    def decorate(find: Callable[_P, Iterable[str]]) -> Callable[_P, tuple[Remark, ...]]:
        @wraps(find)
        def found(*arguments: _P.args, **named: _P.kwargs) -> tuple[Remark, ...]:
            sentences = find(*arguments, **named)
            return tuple(s if isinstance(s, Remark) else Remark(s, code) for s in sentences)

        return found

    return decorate
