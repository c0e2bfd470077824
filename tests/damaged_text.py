"""What a bad link, another release or an unlucky reader makes of a text whose truth is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence


def damaged(
    parts: Sequence[str], separator: str, in_other_units: Callable[[str, random.Random], str], rng: random.Random
) -> str:
    """The text of ``parts``, damaged in one to three ways: parts deleted, doubled, moved, in other units, the text cut short.

    What is cut short has no line end; what is whole has one.
    """
    parts = list(parts)
    cut = False
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(parts))
        match rng.choice(("delete", "double", "unit", "cut", "move")):
            case "delete" if len(parts) > 2:
                del parts[at]
            case "double":
                parts.insert(rng.randrange(len(parts)), parts[at])
            case "unit":
                parts[at] = in_other_units(parts[at], rng)
            case "move":
                parts.append(parts.pop(at))
            case "cut":
                cut = True
    text = separator.join(parts)
    return text[: rng.randint(1, len(text))] if cut else f"{text}\n"
