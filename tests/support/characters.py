"""What `st.text()` draws by default: every character that UTF-8 can encode."""

from __future__ import annotations

from hypothesis import strategies as st

CHARACTERS = st.characters(exclude_categories=["Cs"])
"""All but surrogates. Without an alphabet Hypothesis tries to encode a million code points, which takes a second."""
