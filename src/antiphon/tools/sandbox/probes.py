"""Probes: what code in a sandbox must not be able to do. A sandbox that lets one of them through is not used.

Each is Python whose last expression is True where the sandbox holds. The tests run the slow ones, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from antiphon.tools.sandbox.base import Sandbox, SandboxError

PROBE_SECONDS = 10.0
FOLDERS = ("/mnt/data", "/tmp", "/home/user", "/dev/shm", "/dev", "/")  # noqa: S108 (the sandbox's own)

_PRELUDE = """
import ctypes, errno, glob, json, os, signal, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def raises(action, *kinds):
    try:
        action()
    except (kinds or OSError):
        return True
    return False
def call(x86_64, aarch64, *arguments):
    number = {"x86_64": x86_64, "aarch64": aarch64}.get(os.uname().machine)
    ctypes.set_errno(0)
    return number is None or (libc.syscall(number, *arguments) == -1 and ctypes.get_errno() in (1, 13, 38))
def fills(path, size=1 << 20):
    block = b"x" * size
    try:
        with open(path, "wb") as file:
            for count in range(1, MOST + 2):
                file.write(block)
    except OSError:
        return True
    finally:
        try: os.unlink(path)
        except OSError: pass
    return False
"""


class Probe(msgspec.Struct, frozen=True):
    """One thing to try. `linux`: it asks for what only Linux has."""

    name: str
    code: str
    linux: bool = True


QUICK: tuple[Probe, ...] = (
    Probe("files of the machine", "not any(map(os.path.exists, PATHS))", linux=False),
    Probe("secrets of the machine", "raises(lambda: open('/etc/shadow').read())", linux=False),
    Probe(
        "writing the system", "raises(lambda: open('/usr/x', 'w')) and raises(lambda: open('/etc/x', 'w'))", linux=False
    ),
    Probe("writing the root folder", "raises(lambda: open('/x', 'w')) and raises(lambda: os.mkdir('/y'))", linux=False),
    Probe(
        "environment",
        "not any('SECRET' in name or 'KEY' in name or 'TOKEN' in name for name in os.environ)",
        linux=False,
    ),
    Probe(
        "this machine's ports", "all(raises(lambda: socket.create_connection(a, 1)) for a in ADDRESSES)", linux=False
    ),
    Probe("the network", "raises(lambda: socket.create_connection(('1.1.1.1', 53), 1))", linux=False),
    Probe(
        "sockets of other families",
        "all(raises(lambda: socket.socket(f, t)) for f in range(3, 46) if f != 10 for t in (1, 2, 3))",
    ),
    Probe("raw sockets", "raises(lambda: socket.socket(2, 3, 1)) and raises(lambda: socket.socket(10, 3, 58))"),
    Probe("sockets of the machine", "not glob.glob('/run/*') and not glob.glob('/var/run/*')"),
    Probe(
        "processes of others",
        "raises(lambda: os.listdir('/proc')) or sum(p.isdigit() for p in os.listdir('/proc')) < 10",
    ),
    Probe("signals to others", "SERVER == 0 or raises(lambda: os.kill(SERVER, 0))"),
    Probe("capabilities", "capabilities() == [0] * 6"),
    Probe("new privileges", "libc.prctl(39, 0, 0, 0, 0) == 1 and libc.prctl(21, 0, 0, 0, 0) == 2"),
    Probe("another user", "raises(lambda: os.setuid(0)) and os.getuid() != 0"),
    Probe("name spaces", "call(272, 97, 0x10000000) and call(272, 97, 0x40000000) and call(308, 268, 0, 0)"),
    Probe("clone into name spaces", "call(56, 220, 0x10000011, 0, 0, 0, 0)"),
    Probe(
        "mounts",
        "call(165, 40, b'none', b'/mnt', b'tmpfs', 0, 0) and call(166, 39, b'/proc', 0) and call(161, 51, b'/')",
    ),
    Probe("ptrace", "call(101, 117, 16, 1, 0, 0) and call(310, 270, 1, 0, 0, 0, 0, 0)"),
    Probe("memory of the supervisor", "raises(lambda: open('/proc/%d/mem' % os.getppid(), 'rb'))"),
    Probe("keys of the kernel", "call(250, 219, 0, -4, 0) and call(248, 217, b'user', b'x', b'y', 1, -4)"),
    Probe("io_uring", "call(425, 425, 8, ctypes.create_string_buffer(120))"),
    Probe("bpf", "call(321, 280, 0, 0, 0)"),
    Probe("userfaultfd", "call(323, 282, 0)"),
    Probe("perf events", "call(298, 241, ctypes.create_string_buffer(120), 0, -1, -1, 0)"),
    Probe("kernel log", "call(103, 116, 3, ctypes.create_string_buffer(100), 100)"),
    Probe("memory without a folder", "call(319, 279, b'x', 0) and call(29, 194, 0, 1 << 20, 0o1600)"),
    Probe("files by handle", "call(304, 265, -100, 0, 0)"),
    Probe("timers of the kernel", "call(222, 107, 1, ctypes.create_string_buffer(64), ctypes.create_string_buffer(8))"),
    Probe("signals by files", "call(72, 25, 0, 10, 18)"),
    Probe("watches of files", "call(294, 26, 0) and call(253, None)"),
    Probe("asynchronous reads of the machine", "call(206, 0, 1, ctypes.create_string_buffer(8))"),
    Probe("memory dumps", "__import__('resource').getrlimit(4) == (1, 1)"),
    Probe("sockets without a path", "all(raises(lambda: linked(name)) for name in ABSTRACT)"),
    Probe(
        "environment of the first process",
        "raises(lambda: open('/proc/1/environ')) or not open('/proc/1/environ').read()",
    ),
    Probe(
        "device files",
        "all(raises(lambda: os.mknod('/tmp/d', k | 0o600, os.makedev(1, 3))) for k in (0o20000, 0o60000))",
    ),
    Probe("files larger than all", "raises(lambda: sparse('/tmp/s', 1 << 40))"),
    Probe("programs of another user", "shell('su -c true </dev/null >/dev/null 2>&1') != 0"),
    Probe("the kernel's memory", "all(raises(lambda: open(p, 'rb').read(1)) for p in KERNEL)"),
    Probe("the kernel's switches", "all(raises(lambda: switch(p)) for p in SWITCHES)"),
    Probe("unknown system calls", "call(470, 470, 0) and call(999, 999, 0)"),
    Probe("typing into the terminal", "raises(lambda: __import__('fcntl').ioctl(0, 0x5412, b'x'))"),
    Probe("devices", "raises(lambda: os.listdir('/dev')) or set(os.listdir('/dev')) <= DEVICES"),
    Probe("devices of the machine", "all(raises(lambda: open(d, 'rb').close()) for d in MACHINE + ('/dev/x',))"),
    Probe("new devices", "raises(lambda: open('/dev/x', 'w'))"),
    Probe("settings of the kernel", "raises(lambda: open('/proc/sys/kernel/hostname', 'w'))"),
    Probe("much memory at once", "raises(lambda: bytearray(3 << 30), MemoryError)", linux=False),
    Probe("threads are possible", "threads(20)", linux=False),
    Probe("commands are possible", "[os.system('true') for _ in range(3)] == [0] * 3", linux=False),
)
"""Run at each start of the server."""

SLOW: tuple[Probe, ...] = (
    *(Probe(f"disk: {path}", f"fills({path + '/big'!r})") for path in FOLDERS),
    Probe("fork bomb", "forks(5000) < 100"),
    Probe("thread bomb", "bomb_of_threads(5000) < 100"),
)
"""Run by the tests, with a small limit of disk."""

_HELPERS = """
import threading
PATHS = ("/root", "/etc/passwd", "/etc/shadow", "/var/log", "/boot", "/sys/kernel", "/opt", "/srv")
ADDRESSES = [(host, port) for host in ("127.0.0.1", "::1") for port in (22, 80, 8000, PORT)]
ABSTRACT = ["\\0antiphon-probe", "\\0/tmp/.X11-unix/X0", "\\0/tmp/dbus-probe", "\\0" + NAME]
KERNEL = ("/proc/kcore", "/proc/kmsg", "/proc/1/mem", "/proc/1/root/etc/passwd", "/dev/mem", "/sys/kernel/debug")
SWITCHES = tuple(
    "/proc/sys/kernel/" + name for name in ("core_pattern", "modprobe", "hostname", "sysrq", "ns_last_pid")
) + ("/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/sys/fs/binfmt_misc/register")
def switch(path):
    with open(path, "wb", 0) as file: file.write(b"1")
def linked(name):
    with socket.socket(socket.AF_UNIX) as one: one.connect(name)
def sparse(path, size):
    try:
        with open(path, "wb") as file: file.truncate(size)
    finally: os.unlink(path)
def shell(command): return os.waitstatus_to_exitcode(os.system(command))
MACHINE = tuple("/dev/" + name for name in "mem kmem kmsg port vda sda nvme0n1 kvm fuse vsock loop0 ttyS0 net/tun".split())
DEVICES = {*"console core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero".split()}
def capabilities():
    head, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[1] * 6)
    libc.capget(head, held)
    return list(held)
def threads(count):
    all = [threading.Thread(target=lambda: None) for _ in range(count)]
    for one in all: one.start()
    for one in all: one.join()
    return True
def forks(count):
    made = 0
    try:
        while made < count:
            if os.fork() == 0:
                signal.pause()
                os._exit(0)
            made += 1
    except OSError: pass
    return made
def bomb_of_threads(count):
    event = threading.Event()
    made = 0
    try:
        while made < count:
            threading.Thread(target=event.wait, daemon=True).start()
            made += 1
    except RuntimeError: pass
    event.set()
    return made
"""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What the probes have to know: the server's process (0 where its number means nothing inside), a port that it listens on,
    the name of a socket without a path, and how many MiB no folder of the sandbox may take.
    """

    server: int = 0
    port: int = 8000
    name: str = "antiphon"
    most: int = 400

    def prelude(self) -> str:
        """Return the code that comes before the probes."""
        names = f"SERVER, PORT, NAME, MOST = {self.server}, {self.port}, {self.name!r}, {self.most}\n"
        return names + _PRELUDE + _HELPERS


async def failing(sandbox: Sandbox, probes: Iterable[Probe], ground: Ground, *, linux: bool) -> list[str]:
    """Return the names of the probes that a sandbox lets through. Raises SandboxError where it ends."""
    pieces: list[bytes] = []
    await sandbox.run(ground.prelude(), PROBE_SECONDS, lambda _, piece: pieces.append(piece))
    if pieces:
        raise SandboxError(f"the probes cannot be run: {b''.join(pieces).decode(errors='replace')[-200:]}")
    found = []
    for probe in probes:
        if probe.linux and not linux:
            continue
        said: list[bytes] = []
        ended = await sandbox.run(probe.code, PROBE_SECONDS, lambda _, piece, said=said: said.append(piece))  # type: ignore[misc]
        if not ended.ok or b"".join(said).strip() != b"True":
            found.append(probe.name)
        await asyncio.sleep(0)
    return found
