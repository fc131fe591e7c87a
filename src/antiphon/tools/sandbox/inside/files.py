"""The files of a sandbox: listed, read, written, below one folder and never through a link."""

from __future__ import annotations

import os
import stat

from antiphon.tools.sandbox.inside.frames import Ignored

MOST_FILES = 1000
DEEPEST = 16
LONGEST = 512

State = tuple[int, int, int, int]
"""Size, times and number of a file."""


def names_a_file(path: str) -> bool:
    """Tell whether a path below the folder can be kept: no empty part, no `.` or `..`, nothing unprintable."""
    parts = path.split("/")
    return (
        0 < len(path.encode(errors="surrogatepass")) <= LONGEST
        and len(parts) <= DEEPEST
        and path.isprintable()
        and not any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
    )


def counted(folders: list[str], files: int, size: int) -> bool:
    """Tell whether there are more than so many files in some folders, or more than so many bytes."""
    waiting = list(folders)
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            files -= 1
            with Ignored(OSError):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    size -= entry.stat(follow_symlinks=False).st_blocks * 512
        if files < 0 or size < 0:
            return True
    return False


class Folder:
    """A folder and what is known of its files: so that those which a call has changed are found."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._known: dict[str, State] = {}

    def changes(self) -> tuple[list[tuple[str, int]], list[str], int]:
        """Return new and changed files with their sizes, those that are gone, and the number of those that cannot be kept."""
        found: dict[str, State] = {}
        odd = self._walk(self.root, "", found)
        changed = [(path, state[0]) for path, state in found.items() if self._known.get(path) != state]
        gone = [path for path in self._known if path not in found]
        self._known = found
        return changed, gone, odd

    def _walk(self, folder: str, prefix: str, found: dict[str, State]) -> int:
        odd = 0
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return 1
        for entry in entries:
            path = prefix + entry.name
            try:
                here = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(here.st_mode) and path.count("/") + 1 < DEEPEST:
                odd += self._walk(entry.path, path + "/", found)
            elif stat.S_ISREG(here.st_mode) and len(found) < MOST_FILES and names_a_file(path):
                found[path] = (here.st_size, here.st_mtime_ns, here.st_ctime_ns, here.st_ino)
            else:
                odd += 1
        return odd

    def write(self, path: str, content: bytes, more: bool, mode: int = 0o644) -> None:
        """Write a file, or append to it. Raises OSError, ValueError."""
        if not names_a_file(path):
            raise ValueError(path)
        target = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not more:
            with Ignored(FileNotFoundError):
                os.unlink(target)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if more else os.O_EXCL)
        with os.fdopen(os.open(target, flags, mode), "wb") as file:
            file.write(content)
        here = os.lstat(target)
        self._known[path] = (here.st_size, here.st_mtime_ns, here.st_ctime_ns, here.st_ino)

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Read a piece of a file. Raises OSError, ValueError."""
        if not names_a_file(path):
            raise ValueError(path)
        handle = os.open(os.path.join(self.root, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError(path)
            file.seek(offset)
            return file.read(size)

    def remove(self, path: str) -> None:
        """Delete a file. Raises OSError, ValueError."""
        if not names_a_file(path):
            raise ValueError(path)
        os.unlink(os.path.join(self.root, path))
        self._known.pop(path, None)
