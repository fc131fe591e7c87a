"""`antiphon pull`, `list` and `rm`, against a stand-in for the hub, beside caches of other programs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import pty
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.llama.hub_server import Hub, hub
from tests.cli.command import Outcome, antiphon, environment

pytestmark = pytest.mark.slow

REPO = "acme/Tiny-GGUF"
FILES = {
    "Tiny-Q4_K_M.gguf": b"four" * 300_000,
    "Tiny-Q8_0-00001-of-00002.gguf": b"eight" * 1000,
    "Tiny-Q8_0-00002-of-00002.gguf": b"ate" * 1000,
    "mmproj-F16.gguf": b"eyes" * 10,
}
OWN = ".cache/antiphon/models/acme--Tiny-GGUF"


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub(REPO, FILES) as server:
        yield server
        server.going_on.set()


async def run(server: Hub, folder: Path, *arguments: str) -> Outcome:
    return await antiphon(folder, *arguments, HF_ENDPOINT=server.url)


def rows(listed: Outcome) -> list[list[str]]:
    return [line.split() for line in listed.out.splitlines()]


async def test_pull_list_rm(server: Hub, tmp_path: Path) -> None:
    pulled = await run(server, tmp_path, "pull", f"hf.co/{REPO}:q8_0")
    assert pulled.code == 0 and pulled.out == "" and "pulling " in pulled.err.splitlines()[0]
    assert pulled.err.endswith(f"success: {REPO}:Q8_0, 8.0 KB\n") and "\r" not in pulled.err
    assert (await run(server, tmp_path, "pull", REPO)).err.endswith(f"success: {REPO}:Q4_K_M, 1.2 MB\n")
    listed = await antiphon(tmp_path, "list", HF_ENDPOINT="http://127.0.0.1:9")
    assert rows(listed)[0] == ["NAME", "ID", "SIZE", "CACHE", "MODIFIED"]
    digests = [hashlib.sha256(FILES[name]).hexdigest()[:12] for name in list(FILES)[:2]]
    assert sorted(row[:5] for row in rows(listed)[1:]) == [
        [f"{REPO}:Q4_K_M", digests[0], "1.2", "MB", "antiphon"],
        [f"{REPO}:Q8_0", digests[1], "8.0", "KB", "antiphon"],
    ]
    removed = await antiphon(tmp_path, "rm", f"{REPO}:Q8_0")
    assert removed.code == 0 and removed.out == f"deleted '{REPO}:Q8_0' (8.0 KB)\n"
    left = sorted(path.name for path in (tmp_path / OWN).iterdir())
    assert left == [".lock", "Tiny-Q4_K_M.gguf", "default.json", "mmproj-F16.gguf"], (
        "the projector serves the other model"
    )
    assert (await antiphon(tmp_path, "rm", REPO)).code == 0
    assert not (tmp_path / OWN).exists() and len(rows(await antiphon(tmp_path, "list"))) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["pull", "llama3.2"], 2, "models come from Hugging Face"),
        (["pull", "acme/Nothing-GGUF"], 1, "Model acme/Nothing-GGUF not found"),
        (["pull", f"{REPO}:Q2_K"], 1, "no quantisation Q2_K. Available: Q4_K_M, Q8_0."),
        (["pull"], 2, "Missing argument"),
        (["rm", "acme/Nothing-GGUF"], 1, "model 'acme/Nothing-GGUF' not found; see `antiphon list`"),
        (["rm", "../../etc"], 1, "not found"),
    ],
)
async def test_what_does_not_work_says_so(
    server: Hub, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    outcome = await run(server, tmp_path, *arguments)
    assert outcome.code == code and says in outcome.err and "Traceback" not in outcome.err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_an_interrupted_download_goes_on(server: Hub, tmp_path: Path, number: signal.Signals) -> None:
    server.stall_after = 500_000
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "antiphon", "pull", REPO),
        cwd=tmp_path,
        env=environment(tmp_path, HF_ENDPOINT=server.url),
        stderr=asyncio.subprocess.PIPE,
    )
    part = tmp_path / OWN / "Tiny-Q4_K_M.gguf.part"
    while not part.is_file() or part.stat().st_size < server.stall_after:  # noqa: ASYNC110 (another process writes it)
        await asyncio.sleep(0.01)
    process.send_signal(number)
    server.going_on.set()
    _, err = await process.communicate()
    assert process.returncode == (130 if number == signal.SIGINT else -9)
    assert number == signal.SIGKILL or b"the same command goes on where it ended" in err
    assert rows(await antiphon(tmp_path, "list"))[1:] == [], "half a model is none"
    server.stall_after = 0
    assert (await run(server, tmp_path, "pull", REPO)).code == 0
    assert server.asked_for("Tiny-Q4_K_M.gguf")[-1]["range"].startswith("bytes=5")
    assert (tmp_path / OWN / "Tiny-Q4_K_M.gguf").read_bytes() == FILES["Tiny-Q4_K_M.gguf"]


async def test_an_unfinished_download_can_be_removed(server: Hub, tmp_path: Path) -> None:
    (tmp_path / OWN).mkdir(parents=True)
    (tmp_path / OWN / "Tiny-Q4_K_M.gguf.part").write_bytes(b"half")
    removed = await antiphon(tmp_path, "rm", REPO)
    assert removed.code == 0 and removed.out == f"deleted an unfinished download of '{REPO}' (4 B)\n"
    assert not (tmp_path / OWN).exists()


def hugging_face(home: Path, repo: str = REPO, name: str = "Tiny-Q8_0.gguf") -> tuple[Path, Path]:
    """Write a model as Hugging Face's library keeps it; return its link and what that points to."""
    root = home / ".cache/huggingface/hub" / f"models--{repo.replace('/', '--')}"
    blob, link = root / "blobs" / hashlib.sha256(b"shared").hexdigest(), root / "snapshots/abc" / name
    for folder in (blob.parent, link.parent, root / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "refs/main").write_text("abc")
    blob.write_bytes(b"shared")
    link.symlink_to(Path("../../blobs", blob.name))
    return link, blob


def llama_cpp(home: Path, *, manifest: bool) -> Path:
    """Write a model with its projector as llama.cpp keeps them; return the model's file."""
    cache = home / ".cache/llama.cpp"
    cache.mkdir(parents=True)
    if manifest:
        told = {"ggufFile": {"rfilename": "Tiny-Q8_0.gguf"}, "mmprojFile": {"rfilename": "mmproj-F16.gguf"}}
        (cache / "manifest=acme=Tiny-GGUF=Q8_0.json").write_text(json.dumps(told))
        (cache / "acme_Tiny-GGUF_mmproj-F16.gguf").write_bytes(b"eyes")
    (cache / "acme_Tiny-GGUF_Tiny-Q8_0.gguf").write_bytes(b"shared")
    (cache / "acme_Tiny-GGUF_Tiny-Q4_0.gguf.downloadInProgress").write_bytes(b"half")
    return cache / "acme_Tiny-GGUF_Tiny-Q8_0.gguf"


async def test_hugging_faces_cache_is_read_first_and_kept(server: Hub, tmp_path: Path) -> None:
    link, blob = hugging_face(tmp_path)
    pulled = await run(server, tmp_path, "pull", REPO)
    assert pulled.code == 0 and f"in the cache of huggingface: {link}" in pulled.err and not server.seen
    assert rows(await antiphon(tmp_path, "list"))[1][:5] == [f"{REPO}:Q8_0", blob.name[:12], "6", "B", "huggingface"]
    refused = await antiphon(tmp_path, "rm", REPO)
    assert refused.code == 1 and "--shared deletes it there" in refused.err and str(link) in refused.err
    assert blob.is_file()
    other = link.parent.parent / "def" / link.name
    other.parent.mkdir()
    other.symlink_to(Path("../../blobs", blob.name))
    assert (await antiphon(tmp_path, "rm", "--shared", REPO)).out == f"deleted '{REPO}:Q8_0' (0 B)\n"
    assert blob.is_file() and not link.exists(), "another revision still has it"
    other.rename(link)
    assert (await antiphon(tmp_path, "rm", "--shared", REPO)).out == f"deleted '{REPO}:Q8_0' (6 B)\n"
    assert not blob.exists()


async def test_a_link_of_hugging_faces_cache_to_nothing_is_no_model(server: Hub, tmp_path: Path) -> None:
    _, blob = hugging_face(tmp_path)
    blob.unlink()
    assert rows(await antiphon(tmp_path, "list"))[1:] == []


async def test_llama_cpps_cache(server: Hub, tmp_path: Path) -> None:
    file = llama_cpp(tmp_path, manifest=True)
    assert [row[0] for row in rows(await antiphon(tmp_path, "list"))[1:]] == [f"{REPO}:Q8_0"]
    assert f"in the cache of llama.cpp: {file}" in (await run(server, tmp_path, "pull", f"{REPO}:Q8_0")).err
    assert not server.seen
    assert (await antiphon(tmp_path, "rm", f"{REPO}:Q8_0")).code == 1 and file.is_file()
    assert (await antiphon(tmp_path, "rm", "--shared", f"{REPO}:Q8_0")).code == 0
    assert not list(file.parent.glob("*.gguf")), "the projector went with it"


async def test_llama_cpps_cache_without_a_manifest(tmp_path: Path) -> None:
    llama_cpp(tmp_path, manifest=False)
    assert [row[0] for row in rows(await antiphon(tmp_path, "list"))[1:]] == ["acme_Tiny-GGUF_Tiny-Q8_0.gguf"]


@pytest.mark.parametrize("manifest", ["{", "[]", '{"ggufFile":{"rfilename":"../../../../etc/passwd"}}', "\xff"])
async def test_odd_caches_of_others_do_no_harm(tmp_path: Path, manifest: str) -> None:
    file = llama_cpp(tmp_path, manifest=False)
    (file.parent / "manifest=acme=Tiny-GGUF=Q8_0.json").write_bytes(manifest.encode("latin-1"))
    (file.parent / "manifest=.json").write_text("{}")
    root = tmp_path / ".cache/huggingface/hub/models--a--b"
    (root / "refs").mkdir(parents=True)
    (root / "refs/main").write_text("../../../../etc")
    listed = await antiphon(tmp_path, "list")
    assert listed.code == 0 and len(rows(listed)) == 2


def test_progress_on_a_terminal(server: Hub, tmp_path: Path) -> None:
    """On a terminal there is a bar, which a line's length never breaks."""
    server.cut_after = [400_000]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(
            sys.executable,
            [sys.executable, "-m", "antiphon", "pull", REPO],
            environment(tmp_path, HF_ENDPOINT=server.url, COLUMNS="80", TERM="xterm"),
        )
    said = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error on Linux
        while piece := os.read(terminal, 65536):
            said += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    lines = said.decode().replace("\r\x1b[2K", "\n").splitlines()
    bars = [line for line in lines if "▕" in line]
    assert bars and all(len(line) <= 80 for line in bars)
    assert any("100% ▕████████████████████▏ 1.2 MB/1.2 MB" in line for line in bars)
