"""The system calls that a sandbox refuses, as a program of classic BPF: a table of numbers, and no library."""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterable, Mapping, Sequence

import msgspec

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data; low halves of the arguments

_NAMESPACES = 0x7E020080  # CLONE_NEW…: cgroup, uts, ipc, user, pid, net, mount, time
_SOCKETS = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6; AF_VSOCK is in no name space, and reaches the machine's host
_STREAMS = tuple(1 | close | block for close in (0, 0o2000000) for block in (0, 0o4000))  # SOCK_STREAM, with flags
_TERMINAL = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into the terminal that started the server
_SET_SIGNAL = (10,)  # F_SETSIG: a file that sends a signal of one's choice
_EXIT_SIGNALS = (0, 17)  # none, SIGCHLD; SIGCONT would start a parent that is stopped
_PARENT_DEATH, _CONTINUE = 1, 18  # PR_SET_PDEATHSIG, SIGCONT
_LAST_FAMILY = 63
NEWEST = 463  # what a newer kernel adds from here on is unknown here


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """What a processor's Linux calls its system calls. `clone3` hides its flags: callers fall back to `clone`.

    A timer of `timer_create` goes off also where its process is stopped, and may start it: callers fall back to `setitimer`.
    """

    audit: int
    clone: int
    socket: int
    socketpair: int
    ioctl: int
    fcntl: int
    prctl: int
    setpgid: int
    timer_create: int
    refused: dict[str, int]
    clone3: int = 435


_REFUSED: Mapping[str, tuple[int, int | None]] = {
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "mount_setattr": (442, 442),
    "quotactl_fd": (443, 443),
    "memfd_secret": (447, 447),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "set_mempolicy_home_node": (450, 450),
    "lsm_set_self_attr": (460, 460),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "syslog": (103, 116),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262),
    # Counted for a user, or for the whole machine, outside of the sandbox, too:
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "io_setup": (206, 0),
    "lookup_dcookie": (212, 18),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "query_module": (178, None),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "quotactl": (179, 60),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "personality": (135, 92),
    "vhangup": (153, 58),
    "nfsservctl": (180, 42),
    "move_pages": (279, 239),
    "mbind": (237, 235),
    "migrate_pages": (256, 238),
    "set_mempolicy": (238, 237),
    "get_mempolicy": (239, 236),
    # Memory that belongs to no process and to no folder with a size:
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # Old ones, and names of the machine:
    "uselib": (134, None),
    "sysfs": (139, None),
    "ustat": (136, None),
    "_sysctl": (156, None),
    "get_kernel_syms": (177, None),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}
"""System calls that are refused, by name: their numbers on x86-64 and on AArch64, where it has them."""

_X86_64 = Architecture(
    audit=0xC000003E,
    clone=56,
    socket=41,
    socketpair=53,
    ioctl=16,
    fcntl=72,
    prctl=157,
    setpgid=109,
    timer_create=222,
    refused={name: number for name, (number, _) in _REFUSED.items()},
)
_AARCH64 = Architecture(
    audit=0xC00000B7,
    clone=220,
    socket=198,
    socketpair=199,
    ioctl=29,
    fcntl=25,
    prctl=167,
    setpgid=154,
    timer_create=107,
    refused={name: number for name, (_, number) in _REFUSED.items() if number is not None},
)
ARCHITECTURES = {"x86_64": _X86_64, "amd64": _X86_64, "aarch64": _AARCH64, "arm64": _AARCH64}
"""What `platform.machine()` says → its system calls."""

_Step = tuple[int, int, int, int]


def profile(machine: Architecture) -> dict[str, object]:
    """Return the same as docker and podman read it. Calls newer than their library's names are not refused by it."""
    refuse: dict[str, object] = {"action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM}
    rules: list[dict[str, object]] = [
        {"names": sorted(machine.refused), **refuse},
        {"names": ["clone3", "timer_create"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
    ]
    families = [family for family in range(_LAST_FAMILY + 1) if family not in _SOCKETS]
    compared = [*((family, "SCMP_CMP_EQ") for family in families), (_LAST_FAMILY + 1, "SCMP_CMP_GE")]
    for value, op in compared:
        rules.append({"names": ["socket", "socketpair"], **refuse, "args": [{"index": 0, "value": value, "op": op}]})
    for bit in (1 << offset for offset in range(32) if _NAMESPACES >> offset & 1):
        masked = {"index": 0, "value": bit, "valueTwo": bit, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append({"names": ["clone"], **refuse, "args": [masked]})
    for name, requests in (("ioctl", _TERMINAL), ("fcntl", _SET_SIGNAL)):
        for request in requests:
            rules.append({"names": [name], **refuse, "args": [{"index": 1, "value": request, "op": "SCMP_CMP_EQ"}]})
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}


def architecture() -> Architecture | None:
    """Return this machine's, where the tables have it."""
    return ARCHITECTURES.get(platform.machine().lower())


def program(machine: Architecture, *, name_spaces: bool = True) -> bytes:
    """Return the filter: what is not named is allowed; what it refuses fails with an error and ends nothing.

    Without `name_spaces` there are no sockets but connected pairs, as one would reach the machine's own; and nothing by which a
    process that ends starts one that is stopped, as nobody inside sees whether a process has ended.
    """
    absent = [(_RETURN, 0, 0, _REFUSE | errno.ENOSYS)]
    steps: list[_Step] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, NEWEST),  # also x32, whose numbers are above
        *absent,
        *(step for number in (machine.clone3, machine.timer_create) for step in ((_EQUAL, 0, 1, number), *absent)),
        *_clone(machine.clone, () if name_spaces else _EXIT_SIGNALS),
        *_only(machine.socket, _FIRST, _SOCKETS if name_spaces else (), errno.EAFNOSUPPORT),
        *(() if name_spaces else _unless(machine.socketpair, _SECOND, _STREAMS, errno.EAFNOSUPPORT)),
        *_only(machine.socketpair, _FIRST, _SOCKETS[:1], errno.EAFNOSUPPORT),
        *_never(machine.ioctl, _SECOND, _TERMINAL),
        *_never(machine.fcntl, _SECOND, _SET_SIGNAL),
        *(() if name_spaces else _never_both(machine.prctl, _PARENT_DEATH, _CONTINUE)),
    ]
    for number in sorted({*machine.refused.values(), *(() if name_spaces else (machine.setpgid,))}):
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE | errno.EPERM)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", code, yes, no, value) for code, yes, no, value in steps)


def _clone(number: int, signals: Sequence[int]) -> list[_Step]:
    """Return steps that refuse new name spaces, and other signals of a child's end than these, where there are some."""
    steps: list[_Step] = [
        (_LOAD, 0, 0, _FIRST),
        (_ANY_BIT, 0, 1, _NAMESPACES),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
    ]
    if signals:
        steps.append((_AND, 0, 0, 0xFF))
        steps += [(_EQUAL, len(signals) - index, 0, value) for index, value in enumerate(signals)]
        steps.append((_RETURN, 0, 0, _REFUSE | errno.EPERM))
    steps.append((_RETURN, 0, 0, _ALLOW))
    return [(_EQUAL, 0, len(steps), number), *steps]


def _never_both(number: int, first: int, second: int) -> list[_Step]:
    """Return steps that refuse a call with these two arguments, and allow it with any others."""
    return [
        (_EQUAL, 0, 6, number),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 0, 3, first),
        (_LOAD, 0, 0, _SECOND),
        (_EQUAL, 0, 1, second),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _only(number: int, offset: int, values: Iterable[int], error: int) -> list[_Step]:
    """Return steps that allow a call only with one of these values as an argument."""
    steps: list[_Step] = [(_LOAD, 0, 0, offset)]
    for value in values:
        steps += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    steps.append((_RETURN, 0, 0, _REFUSE | error))
    return [(_EQUAL, 0, len(steps), number), *steps]


def _unless(number: int, offset: int, values: Sequence[int], error: int) -> list[_Step]:
    """Return steps that refuse a call without one of these values as an argument, and leave the others to further steps."""
    steps: list[_Step] = [(_LOAD, 0, 0, offset)]
    steps += [(_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    steps += [(_RETURN, 0, 0, _REFUSE | error), (_LOAD, 0, 0, _NUMBER)]
    return [(_EQUAL, 0, len(steps), number), *steps]


def _never(number: int, offset: int, values: Iterable[int]) -> list[_Step]:
    """Return steps that refuse a call with one of these values as an argument, and allow it with any other."""
    steps: list[_Step] = [(_LOAD, 0, 0, offset)]
    for value in values:
        steps += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _REFUSE | errno.EPERM)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return [(_EQUAL, 0, len(steps), number), *steps]
