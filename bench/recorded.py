"""What was measured before: the peers' figures and our goals. CPU per unit, one core of a shared 2-core Xeon at 2.5 GHz."""

from __future__ import annotations

from typing import NamedTuple

PEERS = (
    # server, A64 ms, B µs, C µs, transit p50 / p99 ms, D8 ms, RSS MB, start s
    ("nginx relaying the bytes (the physical limit)", "0.018", "0.6", "19–21", "0.14 / 0.99", "0.10", "14", "0.01"),
    ("sglang-router 0.3.2 (Rust, pass-through)", "0.218", "12.7", "50.3", "0.39 / 22.6", "refuses it", "134", "0.74"),
    ("TensorZero 2026.6 (Rust, chat to chat)", "0.275", "20.6", "55.0", "0.33 / 22.7", "5.9", "126", "0.24"),
    ("SMG 1.13 (Rust, pass-through)", "0.353", "26.9", "48.5", "0.32 / 2.7", "4.0", "94", "0.11"),
    ("HF responses.js (node, translating)", "3.5", "41", "119", "15 / 67", "refuses it", "232", "0.7"),
    ("open-responses-server 0.4.1 (Python, translating)", "–", "181", "342", "171 / 853", "–", "94", "1.3"),
    ("OGX 1.5 (Python, translating), `store: false`", "36", "438", "508", "5.7 / 267", "79", "601", "6.7"),
    (
        "LiteLLM 1.106 (Python, translating)",
        "17.6–22",
        "1,563–2,237",
        "1,940–2,390",
        "3,384 / 6,679",
        "51–59",
        "399",
        "9.4",
    ),
)


class Goal(NamedTuple):
    """What a figure must be at most, and what would be better still. `load`: its name in `bench.turns`, where it has one."""

    must: float
    stretch: float
    unit: str
    what: str
    load: str = ""


GOALS = {
    "a64": Goal(0.13, 0.066, "ms", "A64: short answer, not streamed, `store: false`", "A64"),
    "a64-store": Goal(0.20, 0.15, "ms", "A64 with `store: true` on SQLite", "A64, stored"),
    "a64-passed": Goal(0.15, 0.066, "ms", "A64 of a Responses backend", "A64, passed"),
    "b": Goal(3.7, 3, "µs/token", "B: 64 streams flat out", "B"),
    "c": Goal(36, 22, "µs/token", "C: 200 streams, a token every 20 ms each", "C"),
    "c-nginx": Goal(2.2, 1.6, "× nginx", "C against nginx in the same run"),
    "c-passed": Goal(38, 22, "µs/token", "C of a Responses backend", "C, passed"),
    "transit-p50": Goal(0.18, 0.18, "ms", "C: delay added to a token, p50"),
    "transit-p99": Goal(1.8, 1.2, "ms", "C: delay added to a token, p99"),
    "d8d": Goal(1.0, 0.84, "ms", "D8d: 200 kB request, 60 call items, 20 tools, no two alike", "D8d"),
    "d8d-store": Goal(1.5, 1.2, "ms", "D8d with `store: true` on SQLite", "D8d, stored"),
    "l": Goal(0.70, 0.70, "ms", "L: a turn of an agent loop", "L"),
    "l-store": Goal(1.0, 0.70, "ms", "L with `store: true` on SQLite", "L, stored"),
    "e": Goal(13.5, 10, "µs/fragment", "E: a function call in 50 fragments, 20 tools", "E"),
    "messages-b": Goal(15, 15, "% more", "a token of `/v1/messages` against one of `/v1/responses`, flat out"),
    "messages-c": Goal(15, 15, "% more", "the same, paced"),
    "rss": Goal(70, 50, "MB", "memory after A64, B, C, D8 and E"),
    "idle": Goal(40, 20, "kB", "memory per open idle stream"),
    "many-p99": Goal(25, 25, "ms", "2,000 streams × 1 token/s: delay added, p99"),
    "start": Goal(0.6, 0.3, "s", "start to the first answer, `--backend`"),
    "background": Goal(40, 15, "% more", "background stream against a foreground one, paced"),
    "resumed": Goal(40, 15, "% more", "resumed stream against a foreground one, paced"),
    "workers": Goal(1.8, 1.8, "×", "requests per second of two workers against one"),
}
