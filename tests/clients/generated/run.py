"""openai-python's own generated tests against the real command: `scripts/acceptance generated [PART OF A NAME …]`.

The tests are those of the source distribution of the `openai` that is installed, from PyPI. They name objects by fixed ids and
ask for answers of the right types; `seeds.py` puts these objects into the store before each test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.acceptance.command import serving
from tests.server.relays.every_route import EveryRoute
from tests.server.whole import upstream

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CACHE = Path.home() / ".cache" / "antiphon" / "openai-python"
EXTRAS = CACHE / "extras"
NEEDED = ("rich",)  # what these tests import beyond our own packages

FOLDERS = """
test_responses.py responses conversations test_conversations.py test_models.py chat beta/test_responses.py beta/responses
test_files.py test_uploads.py uploads test_vector_stores.py vector_stores test_containers.py containers test_skills.py skills
test_batches.py test_webhooks.py webhooks
test_decisions.py
test_embeddings.py test_moderations.py test_completions.py test_images.py
audio/test_speech.py audio/test_transcriptions.py audio/test_translations.py
""".split()

SECRET = "the secret of these tests"

SETTINGS = """
url_guard_allow = ["127.0.0.0/8"]
secret = "{secret}"
[backends.scripted]
url = "http://scripted"
api = "scripted"
discover = false
[models.model]
backends = ["scripted"]
name = "scripted"
aliases = ["gpt-6-astra", "gpt-5.6-sol", "gpt-5.4", "gpt-4o-mini"]
[backends.everything]
url = "{everything}"
[default_models]
image_generation = "gpt-image-1.5"
moderation = "omni-moderation-2024-09-26"
"""

RELAYED = {
    "text-embedding-3-small": "text-embedding-mini",
    "omni-moderation-2024-09-26": "text-moderation-small",
    "omni-moderation-latest": "text-moderation-small",
    "gpt-3.5-turbo-instruct": "babbage",
    "gpt-image-1": "gpt-image-small",
    "gpt-image-1.5": "gpt-image-small",
    "gpt-image-2": "gpt-image-small",
    "gpt-image-2.5-flare": "gpt-image-small",
    "tts-1": "tts-small",
    "whisper-1": "whisper-small",
    "gpt-4o-transcribe": "whisper-small",
}
"""Models that the tests name: those of the backend that has every route (`tests/server/relays/every_route.py`)."""


def settings(everything: str) -> str:
    """Return the file of settings."""
    models = [f'[models."{id}"]\nbackends = ["everything"]\nname = "{name}"\n' for id, name in RELAYED.items()]
    return SETTINGS.format(everything=everything, secret=SECRET) + "".join(models)


EXPECTED = {
    r"/test_(?!webhooks)\w+\.py::.*_list\w*_with_all_params": "`limit` is 0",
    r"/test_responses.py::.*_create_overload_\d": "it sends neither input nor a prompt",
    r"/test_responses.py::.*_create_with_all_params": "`conversation` and `previous_response_id` together, `max_tool_calls` is 0",
    r"/test_input_tokens.py::.*_count_with_all_params": "`conversation` and `previous_response_id` together",
    r"/test_responses.py::.*_(method|response)_compact\[": "it sends nothing that could be compacted",
    r"/test_responses.py::.*_compact_with_all_params": "its type knows no messages of users, which a compaction keeps",
    r"/test_models.py::.*_(method|response)_delete\[": "models are the operator's",
    r"test_uploads.py::.*_complete_with_all_params": "`md5` is the text 'md5'",
    r"test_file_batches.py::.*_(method|response)_create(_with_all_params)?\[": "it names no files, or the same in both ways",
    r"containers/test_files.py::.*_(method|response)_create\[": "it sends neither a file nor the id of one",
    r"/test_skills.py::.*_(method|response)_create": "it sends no files, or a file that is no skill",
    r"/test_skills.py::.*_(method|response)_update": "the version is named 'default_version'",
    r"/test_versions.py::.*_(method|response)_create": "it sends no files, or a file that is no skill",
    r"/test_versions.py::.*_(method|response)_(retrieve|delete)\[": "the version is named 'version'",
    r"/test_webhooks.py::.*_(method|response)_create": "the URL is 'https://', without a host",
    r"/test_webhooks.py::.*_update_with_all_params": "the URL is 'https://', without a host",
    r"test_models.py::.*_(method|response)_delete\[": "models are not deleted by clients",
    r"test_embeddings.py::.*_(method|response)_create\[strict": "the client asks for base64 by itself, and its types refuse that",
    r"test_containers.py::.*_create_with_all_params": "`expires_after.minutes` is 0",
}
"""Tests that fail, by a pattern of their names, and why they should."""


def tests() -> Path:
    """Return the folder of the source distribution, fetched once."""
    name = f"openai-{version('openai')}"
    folder = CACHE / name
    if not EXTRAS.exists():
        subprocess.run([sys.executable, "-m", "pip", "-q", "install", "--target", str(EXTRAS), *NEEDED], check=True)
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
            command = [
                sys.executable,
                "-m",
                "pip",
                "-q",
                "download",
                name.replace("-", "=="),
                "--no-deps",
                "--no-binary",
            ]
            subprocess.run([*command, "openai", "--no-build-isolation", "-d", fresh], check=True)
            with tarfile.open(next(Path(fresh).glob("*.tar.gz"))) as archive:
                archive.extractall(fresh, filter="data")
            (Path(fresh) / name).rename(folder)
    return folder


def play(source: Path, url: str, store: Path, wanted: Sequence[str]) -> str:
    """Run the tests; return what pytest says of each."""
    paths = [f"tests/api_resources/{name}" for name in FOLDERS if not wanted or any(part in name for part in wanted)]
    if not _has_skills(url):
        print("without skills: the server has none")
        paths = [path for path in paths if "skills" not in path]
    environment = {
        **os.environ,
        "TEST_API_BASE_URL": f"{url}/v1",
        "PYTHONPATH": os.pathsep.join(str(one) for one in (ROOT / "src", HERE, EXTRAS)),
        "SEEDED_STORE": str(store),
        "SEEDED_SECRET": SECRET,
    }
    options = [
        "-o",
        "addopts=",
        "-o",
        "filterwarnings=default",
        "-p",
        "seeds",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *paths,
        *options,
        "-v",
        "--tb=short",
        "-rfE",
        "--timeout",
        "60",
        "-k",
        "not aiohttp",
    ]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr


def _has_skills(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/v1/skills", timeout=20).close()
    except urllib.error.HTTPError as error:
        return error.code != 404
    return True


def judged(told: str) -> list[str]:
    """Return what is not as it is expected to be."""
    results = dict(re.findall(r"^(tests/\S+?::\S.*?) (PASSED|FAILED|ERROR|SKIPPED)", told, re.MULTILINE))
    if not results:
        return ["no test ran"]
    wrong = []
    for name, result in results.items():
        expected = any(re.search(pattern, name) for pattern in EXPECTED)
        if (result in ("FAILED", "ERROR")) != expected:
            wrong.append(f"{name} {result}")
    counts = {result: list(results.values()).count(result) for result in sorted(set(results.values()))}
    print(", ".join(f"{count} {result.lower()}" for result, count in counts.items()), flush=True)
    return wrong


def main(wanted: Sequence[str]) -> int:
    """Run; return the status of the command."""
    source = tests()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store.db"
        with upstream(EveryRoute) as everything:
            (Path(folder) / "antiphon.toml").write_text(settings(everything))
            with serving(Path(folder), "--config", "antiphon.toml", "--store", str(store)) as server:
                told = play(source, server.url, store, wanted)
    wrong = judged(told)
    if wrong:
        print(told)
        print("not as expected:", *wrong, sep="\n  ")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
