"""Attacks on a server of its own: what no input, document, backend or fault may do to it. `scripts/attack` runs them.

Each part returns Findings; a part without any has passed. All of them are seeded, so that each case can be tried again.
"""
