"""What a seal of this kind of server looks like from outside; `responses/sealing` makes and opens them."""

from __future__ import annotations

PREFIX = "ANT"


def is_seal(text: str) -> bool:
    """Tell whether something looks like a seal; what other servers encrypt is none."""
    version, dot, _ = text.partition(".")
    return bool(dot) and version.startswith(PREFIX) and version[len(PREFIX) :].isdigit()
