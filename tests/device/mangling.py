"""Texts as a bad link or a strange maker would send them."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def mangled(draw: st.DrawFn, texts: list[str]) -> str:
    """A text of which parts are cut out, doubled, moved or replaced."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        first, last = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        piece = draw(st.one_of(st.just(""), st.just(text[first:last] * 2), st.text(max_size=8), st.just("9" * 5000)))
        text = text[:first] + piece + text[last:]
    return text
