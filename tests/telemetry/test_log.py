"""A log that nobody reads holds up nobody."""

from __future__ import annotations

import os

from antiphon.telemetry.log import PatientStream


def test_lines_are_dropped_while_nobody_reads() -> None:
    reader, writer = os.pipe()
    stream = PatientStream(writer)
    lines = [f"{number:099d}\n" for number in range(2000)]
    for line in lines:
        stream.write(line)
    seen = os.read(reader, 1 << 20).decode()
    assert lines[: len(seen) // 100] == seen.splitlines(keepends=True)
    stream.write("again\n")
    assert (
        os.read(reader, 1 << 20).decode()
        == f"({2000 - len(seen) // 100} lines were dropped: nobody read them)\nagain\n"
    )
    os.close(reader)
    os.close(writer)


def test_a_long_text_arrives_whole_where_it_is_read() -> None:
    reader, writer = os.pipe()
    PatientStream(writer).write("é" * 10_000)
    assert os.read(reader, 1 << 20).decode() == "é" * 10_000
    os.close(reader)
    os.close(writer)
