"""The filter, run by an interpreter of its own on both processors' tables: what it refuses, what it lets pass."""

from __future__ import annotations

import errno
import struct

import pytest

from antiphon.tools.sandbox.seccomp import ARCHITECTURES, NEWEST, Architecture, program

ALLOW, KILL = 0x7FFF0000, 0x80000000


def verdict(filter: bytes, number: int, audit: int, *arguments: int) -> int:
    """Run a program of classic BPF on one system call's data."""
    six = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, audit, 0, *six)
    steps = [struct.unpack_from("=HBBI", filter, place) for place in range(0, len(filter), 8)]
    held = place = 0
    while True:
        code, yes, no, value = steps[place]
        place += 1
        match code:
            case 0x20:
                held = struct.unpack_from("=I", data, value)[0]
            case 0x15:
                place += yes if held == value else no
            case 0x35:
                place += yes if held >= value else no
            case 0x54:
                held &= value
            case 0x45:
                place += yes if held & value else no
            case 0x06:
                return value


def refused(error: int) -> int:
    return 0x50000 | error


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> Architecture:
    return ARCHITECTURES[request.param]


def test_another_processors_calls_end_the_process(machine: Architecture) -> None:
    assert verdict(program(machine), 0, machine.audit ^ 1) == KILL


def test_what_the_table_names_is_refused_and_the_rest_allowed(machine: Architecture) -> None:
    filter = program(machine)
    absent = {machine.clone3, machine.timer_create}
    special = {machine.clone, machine.socket, machine.socketpair, machine.ioctl, machine.fcntl, *absent}
    named = set(machine.refused.values())
    assert len(named) == len(machine.refused) > 40 and not named & special
    for number in range(NEWEST):
        if number not in special:
            expected = refused(errno.EPERM) if number in named else ALLOW
            assert verdict(filter, number, machine.audit) == expected, number
    for number in (NEWEST, NEWEST + 100, 0x40000000, 0x40000000 + 41, *absent):
        assert verdict(filter, number, machine.audit) == refused(errno.ENOSYS)


def test_arguments_that_decide(machine: Architecture) -> None:
    filter, audit = program(machine), machine.audit
    for family in range(60):
        expected = ALLOW if family in (1, 2, 10) else refused(errno.EAFNOSUPPORT)
        assert verdict(filter, machine.socket, audit, family) == expected
        assert verdict(filter, machine.socketpair, audit, family) == (
            ALLOW if family == 1 else refused(errno.EAFNOSUPPORT)
        )
    for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80):
        assert verdict(filter, machine.clone, audit, bit | 17) == refused(errno.EPERM)
    assert verdict(filter, machine.clone, audit, 0x1200011) == ALLOW  # fork, as glibc does it
    assert verdict(filter, machine.clone, audit, 0x3D0F00) == ALLOW  # a thread
    for wish in (0x5412, 0x541C):
        assert verdict(filter, machine.ioctl, audit, 0, wish) == refused(errno.EPERM)
        assert verdict(filter, machine.ioctl, audit, 0, wish | 1 << 32) == refused(errno.EPERM)
    assert verdict(filter, machine.ioctl, audit, 0, 0x5401) == ALLOW
    for wish in range(20):
        assert verdict(filter, machine.fcntl, audit, 0, wish) == (refused(errno.EPERM) if wish == 10 else ALLOW)


def test_without_sockets_there_are_connected_pairs_alone(machine: Architecture) -> None:
    """A pair of datagram sockets could be sent on to any other socket of the machine."""
    filter = program(machine, name_spaces=False)
    for family in range(46):
        assert verdict(filter, machine.socket, machine.audit, family, 1) == refused(errno.EAFNOSUPPORT)
        for kind in range(1, 6):
            for flags in (0, 0o2000000, 0o4000, 0o2004000):
                expected = ALLOW if (family, kind) == (1, 1) else refused(errno.EAFNOSUPPORT)
                assert verdict(filter, machine.socketpair, machine.audit, family, kind | flags) == expected
    special = (machine.socket, machine.socketpair, machine.setpgid)
    for number in set(range(NEWEST)).difference(special):
        assert verdict(filter, number, machine.audit) == verdict(program(machine), number, machine.audit)


def test_without_name_spaces_no_end_of_a_process_starts_another(machine: Architecture) -> None:
    """SIGCONT comes with the end of a child, of a parent, or to a group that is left alone."""
    filter, audit = program(machine, name_spaces=False), machine.audit
    for signal in range(65):
        allowed = signal in (0, 17)
        for flags in (0, 0x1200000, 0x3D0F00):
            assert verdict(filter, machine.clone, audit, flags | signal) == (ALLOW if allowed else refused(errno.EPERM))
        for option in (1, 2, 4, 15, 38):
            expected = refused(errno.EPERM) if (option, signal) == (1, 18) else ALLOW
            assert verdict(filter, machine.prctl, audit, option, signal) == expected
    assert verdict(filter, machine.clone, audit, 0x10000011) == refused(errno.EPERM)
    assert verdict(filter, machine.setpgid, audit) == refused(errno.EPERM)
