"""`Shadow`: stands before a method, and steps aside without a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Shadow:
    """Replaces ``owner.name`` by a call of ``act``, which is given the method as it was.

    Several may stand before one method, and go in any order.

    Args:
        owner: The object whose method it is.
        name: The method's name.
        act: Called with the method as it was, and the arguments.

    Example:
        >>> class Greeter:
        ...     def greet(self, name):
        ...         return f"hello {name}"
        >>> greeter = Greeter()
        >>> shadow = Shadow(greeter, "greet", lambda greet, name: greet(name.title()))
        >>> greeter.greet("ada")
        'hello Ada'
        >>> shadow.remove()
        >>> greeter.greet("ada"), vars(greeter)
        ('hello ada', {})
    """

    def __init__(self, owner: Any, name: str, act: Callable[..., Any]) -> None:
        self._owner, self._name, self._act = owner, name, act
        self._active = True
        self.wrapped = getattr(owner, name)
        setattr(owner, name, self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Act, or call the method as it was."""
        return self._act(self.wrapped, *args, **kwargs) if self._active else self.wrapped(*args, **kwargs)

    def remove(self) -> None:
        """Step aside; under a stranger's wrapper it stays, and does nothing any more."""
        self._active = False
        unwrap(self._owner, self._name, self)
        left = vars(self._owner).get(self._name)
        if getattr(left, "__func__", None) is getattr(type(self._owner), self._name):
            delattr(self._owner, self._name)  # the method itself: nobody stands before it any more


def unwrap(owner: Any, name: str, wrapper: Any) -> None:
    """Take one wrapper out of those around ``owner.name``: several callbacks wrap, and end in any order.

    Args:
        owner: The object whose attribute was wrapped.
        name: The attribute.
        wrapper: The wrapper to take out; it has what it wraps as ``wrapped``. Under a stranger's wrapper it stays.

    Example:
        >>> from types import SimpleNamespace
        >>> inner = SimpleNamespace(wrapped=3)
        >>> owner = SimpleNamespace(value=SimpleNamespace(wrapped=inner))
        >>> unwrap(owner, "value", inner)
        >>> owner.value.wrapped
        3
    """
    while (found := getattr(owner, name)) is not wrapper:
        if not hasattr(found, "wrapped"):
            return
        owner, name = found, "wrapped"
    setattr(owner, name, wrapper.wrapped)
