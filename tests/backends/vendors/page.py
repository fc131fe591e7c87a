"""docs/backends.md, from the profiles and the corpus of vendors: `python -m tests.backends.vendors.page`."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from antiphon.backends.chat.profiles import PROFILES, Profile
from tests.backends.vendors.corpus import SHAPES, Vendor, vendors
from tests.engines.page import section

HEAD = """\
# Backends

Which engines and providers Antiphon works with, what each of them sends (seen or documented), how its server profile
differs, and what real engines did behind it. Made by `scripts/docs` from `src/antiphon/backends/chat/profiles.py`, the corpus in
`tests/backends/vendors` and `tests/engines`; every shape of the corpus is played to a whole server in the tests: streamed and
not, chained with `previous_response_id` and replayed by the client.

A backend that is not listed works if it speaks chat completions, the Responses API or Anthropic's Messages API: see `backends` in
[configuration.md](configuration.md). `antiphon doctor` samples what it can do and writes the settings. `[profiles.NAME]` adds a
profile of your own.

## Vendors and shapes

A number links to the public source of a shape: a recording that others published, the vendor's SDK or server source, a page of
its reference, or a report with the bytes. *rec.* is a recording of ours. *none* says that no public record of it was found, and
*–* that the vendor has no such shape; both are explained below the table, and say nothing of what a vendor may still send.
`profile = "auto"` (the default) finds the profile by the host of the URL, by the port, or by `owned_by` in the list of models;
where the table says `generic`, the address says nothing.

"""
PROFILES_HEAD = """
## Profiles

Fields of a profile that differ from `generic`. Each can be set in `[profiles.NAME]`.

"""


def render() -> str:
    """Return the page."""
    vendor_rows = "\n".join([*_vendors(vendors().values()), ""])
    return HEAD + vendor_rows + section() + PROFILES_HEAD + "\n".join([*_profiles(), ""])


def _vendors(known: Iterable[Vendor]) -> list[str]:
    known = sorted(known, key=lambda vendor: vendor.title.lower())
    columns = ["Vendor", "Base URL", "Profile", *(name.replace("_", " ") for name in SHAPES), "usage"]
    rows = [columns, ["---"] * len(columns)]
    number = 0
    for vendor in known:
        row = [vendor.title, f"`{vendor.fields['url']}`", _kind(vendor)]
        for name in SHAPES:
            shape = vendor.shapes.get(name)
            if shape is None:
                row.append("–" if vendor.absent[name] else "*none*")
            elif shape.recorded:
                row.append("*rec.*")
            else:
                number += 1
                row.append(f"[{number}]({shape.source})")
        row.append("✓" if any(shape.counts for shape in vendor.shapes.values()) else "*none*")
        rows.append(row)
    seen = [f"- **{name.replace('_', ' ')}**: {meaning}" for name, meaning in SHAPES.items()]
    seen.append("- **usage**: the vendor's token counts are read of a stream and of a whole answer")
    missing = [f"- **{name.replace('_', ' ')}**: {', '.join(titles)}" for name, titles in _missing(known).items()]
    without = [
        f"- {vendor.title}, {name.replace('_', ' ')}: {vendor.absent[name]}"
        for vendor in known
        for name in SHAPES
        if vendor.absent.get(name)
    ]
    return [
        *(*_table(rows), "", *seen, "", "No public record was found of:", "", *missing),
        *("", "What vendors do not have:", "", *without),
    ]


def _missing(known: Iterable[Vendor]) -> dict[str, list[str]]:
    """Return the vendors of which there is no public record of a shape, by shape."""
    lacking = {name: [one.title for one in known if one.absent.get(name) == ""] for name in SHAPES}
    lacking["usage"] = [one.title for one in known if not any(shape.counts for shape in one.shapes.values())]
    return {name: titles for name, titles in lacking.items() if titles}


def _kind(vendor: Vendor) -> str:
    return f"`{vendor.fields['profile']}`" if vendor.api == "chat" else f'`api = "{vendor.api}"`'


def _profiles() -> list[str]:
    usual = PROFILES["generic"]
    rows = [["Profile", "Differs from `generic` in"], ["---", "---"]]
    for profile in PROFILES.values():
        different = [
            f"`{field} = {_value(getattr(profile, field))}`"
            for field in Profile.__struct_fields__
            if field not in ("name", "base") and getattr(profile, field) != getattr(usual, field)
        ]
        rows.append([f"`{profile.name}`", ", ".join(different) or "nothing"])
    fields = [
        f"- `{field}`: {_value(getattr(usual, field))}"
        for field in Profile.__struct_fields__
        if field not in ("name", "base")
    ]
    return [*_table(rows), "", "The values of `generic`:", "", *fields]


def _value(value: object) -> str:
    """Return a value as TOML writes it."""
    plain = sorted(value) if isinstance(value, frozenset) else value
    return msgspec.json.encode(plain).decode()


def _table(rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]


if __name__ == "__main__":
    print(render(), end="")
