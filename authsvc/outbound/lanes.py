"""Three lanes that share nothing, so that strangers' traffic cannot stand in the way."""

from typing import Final, Literal, get_args

Lane = Literal["essential", "content", "events"]
"""``essential`` is what clients authenticate and log out by: keys and logout tokens.

``content`` is everything else: what can fail for a while, or for the client alone who named
it. ``events`` is what receivers that an operator registered are told of.
"""
LANES: Final[tuple[Lane, ...]] = get_args(Lane)
