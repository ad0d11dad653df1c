"""What a tracking process remembers: links, compiled letters, how often a token was used today."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

from mailhub.mail.campaign import CompiledCampaign

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """The last `most` values, by key; safe for the threads of a process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Any, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Any) -> Value | None:
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: Any, value: Value) -> None:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()


@dataclass(frozen=True, slots=True)
class StoredLink:
    """A link as it stood in the letter: a URL, or a template where it has merge fields."""

    id: int
    url: str

    @property
    def personal(self) -> bool:
        return "{{" in self.url or "{%" in self.url


@dataclass(frozen=True, slots=True)
class Memory:
    """One a process."""

    letters: Kept[tuple[CompiledCampaign, list[int]]] = field(default_factory=lambda: Kept(16))
    #: Token → (day, hits).
    seen: Kept[tuple[int, int]] = field(default_factory=lambda: Kept(100_000))


def memory(registry: Any) -> Memory:
    """The memory of this process's application."""
    if not hasattr(registry, "tracking_memory"):
        registry.tracking_memory = Memory()
    found: Memory = registry.tracking_memory
    return found
