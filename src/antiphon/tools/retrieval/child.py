"""A reading process: for each document that comes over the socket that is its stdin it forks, and the fork reads that one.

So nothing that a hostile document does to a process is left when the next one, perhaps of another owner, is read; and no document
pays for the start of Python. A fork has no environment and no network, opens no file (the limit of file descriptors stands at
those that it has), and its memory and time are limited. Where one does not end well, the process ends as well.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import zipfile
from io import BytesIO

import msgspec

from antiphon.core.retrieval.chunking import Chunking, chunked
from antiphon.core.retrieval.words import words
from antiphon.runtime.isolated_child import end_with_parent, exactly, limit, step_back
from antiphon.tools.retrieval.formats.base import InvalidDocument, UnsupportedDocument
from antiphon.tools.retrieval.formats.documents import document_text
from antiphon.tools.retrieval.formats.pdf import version
from antiphon.tools.retrieval.protocol import LENGTH, DocumentChunks, ReaderReady, ReadTask

PR_SET_CHILD_SUBREAPER = 36
OPEN = 3  # file descriptors: the socket, and two that lead nowhere
WALL_FACTOR = 2  # seconds on the clock for one of the processor

_decode = msgspec.msgpack.Decoder(ReadTask).decode
_encode = msgspec.msgpack.Encoder().encode


def main(parent: int, memory: int) -> None:
    """Serve until the socket ends. `memory` is the address space that a fork may have, in bytes."""
    end_with_parent(parent, PR_SET_CHILD_SUBREAPER)
    _warm_up()
    connection = socket.socket(fileno=0)
    step_back()
    _send(connection, ReaderReady(os.getpid()))
    while connection.recv(1, socket.MSG_PEEK):
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            _serve(connection, own, memory)
        if os.waitpid(pid, 0)[1] != 0 or _is_left():
            return


def _serve(connection: socket.socket, parent: int, memory: int) -> None:
    """Read one document, and end."""
    status = 1
    try:
        end_with_parent(parent, PR_SET_CHILD_SUBREAPER)
        os.closerange(OPEN, min(65_536, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
        limit(memory, OPEN, (resource.RLIMIT_NPROC,))
        task = _decode(_receive(connection))
        resource.setrlimit(resource.RLIMIT_CPU, (task.seconds, task.seconds))
        signal.setitimer(signal.ITIMER_REAL, WALL_FACTOR * task.seconds)
        _send(connection, read(task, _receive(connection)))
        status = 0
    finally:
        os._exit(status)


def read(task: ReadTask, content: bytes) -> DocumentChunks:
    """Return the chunks of a document, or why there are none."""
    try:
        text = document_text(content, task.filename)
        chunking = Chunking(tokens=task.tokens, overlap=task.overlap)
        return DocumentChunks(chunks=[(chunk, " ".join(words(chunk))) for chunk in chunked(text, chunking)])
    except InvalidDocument as error:
        return DocumentChunks(outcome="invalid", reason=str(error))
    except UnsupportedDocument as error:
        return DocumentChunks(outcome="unsupported", reason=str(error))
    except MemoryError:
        return DocumentChunks(outcome="invalid", reason="Reading the file takes more memory than is allowed.")
    except Exception as error:  # whatever a hostile document makes of a reader: it is that document's affair
        return DocumentChunks(outcome="invalid", reason=f"The file cannot be read: {type(error).__name__}.")


def _is_left() -> bool:
    """Tell whether a fork left a process behind: it became a child of this one."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[4 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
    b"4 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Resources<</Font<</F1 3 0 R>>>>/Contents 5 0 R>>endobj\n"
    b"5 0 obj<</Length 21>>stream\nBT /F1 9 Tf (a) Tj ET\nendstream endobj\ntrailer<</Root 1 0 R>>"
)


def _warm_up() -> None:
    """Load all that a document may need while files can still be opened: modules, and PDFium its fonts."""
    version()
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "<a>\N{LATIN SMALL LETTER E WITH ACUTE} x</a>")
    for content in (_PDF, packed.getvalue(), b"<html><p>&eacute;", b"\xff\xfea\0", b"\xe9 text"):
        read(ReadTask(filename="a", tokens=100, overlap=0, seconds=1), content)


def _send(connection: socket.socket, message: ReaderReady | DocumentChunks) -> None:
    body = _encode(message)
    connection.sendall(LENGTH.pack(len(body)))
    connection.sendall(body)


def _receive(connection: socket.socket) -> bytes:
    (size,) = LENGTH.unpack(exactly(connection, LENGTH.size))
    return exactly(connection, size)
