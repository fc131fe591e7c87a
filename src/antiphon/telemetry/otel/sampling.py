"""Samplers of traces, as `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` name them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from antiphon.errors import ConfigError

RATIOS = {"always_on": 1.0, "always_off": 0.0}
PARENT_BASED = "parentbased_"
BY_RATIO = "traceidratio"
USUAL = "parentbased_always_on"


class Sampler(msgspec.Struct, frozen=True):
    """Samples this ratio of traces, by their ids, so that all servers decide alike; `by_parent`: the caller's decision wins."""

    ratio: float = 1.0
    by_parent: bool = True

    def sampled(self, trace_id: str, parent: bool | None) -> bool:
        """Tell whether a span is sampled; `parent`: whether its caller's is, None where it has none."""
        if self.by_parent and parent is not None:
            return parent
        if self.ratio >= 1.0:
            return True
        return int(trace_id[16:], 16) < int(self.ratio * (1 << 64))


def sampler_of(environ: Mapping[str, str]) -> Sampler:
    """Return the sampler that the environment names. Raises ConfigError."""
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or USUAL
    kind = name.removeprefix(PARENT_BASED)
    if kind == BY_RATIO:
        return Sampler(_ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1.0"), kind != name)
    if kind not in RATIOS:
        known = [f"{before}{one}" for before in ("", PARENT_BASED) for one in (*RATIOS, BY_RATIO)]
        raise ConfigError(f"OTEL_TRACES_SAMPLER: '{name[:64]}' is not one of {', '.join(known)}")
    return Sampler(RATIOS[kind], kind != name)


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise ConfigError(f"OTEL_TRACES_SAMPLER_ARG: '{text[:64]}' is not a ratio from 0 to 1")
    return ratio
