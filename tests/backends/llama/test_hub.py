"""Downloads from a hub, against a real HTTP server that stands in for it."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from antiphon.backends.llama.hub import models as hub_module
from antiphon.backends.llama.hub.choosing import choose, quant_of
from antiphon.backends.llama.hub.client import HubClient, HubFile
from antiphon.backends.llama.hub.models import download, is_hub_name
from antiphon.backends.llama.hub.progress import Progress
from antiphon.errors import ConfigError
from antiphon.net.proxies import from_environment
from tests.net.proxy import proxying

from .hub_server import Hub, hub

REPO = "acme/Tiny-GGUF"
WEIGHTS = Random(7).randbytes(3_000_000)


def quiet(name: str, here: int, whole: int) -> None:
    pass


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub(REPO, {"README.md": b"# Tiny", "Tiny-Q8_0.gguf": b"eight" * 100, "Tiny-Q4_K_M.gguf": WEIGHTS}) as server:
        yield server


def client(server: Hub, token: str = "") -> HubClient:
    return HubClient(server.url, token, pause=0.01)


def get(server: Hub, cache: Path, name: str = REPO) -> Path:
    return download(name, cache, quiet, client(server)).path


def files(*names: str) -> list[HubFile]:
    return [HubFile(path=name, size=100 + index) for index, name in enumerate(names)]


# Choosing


@pytest.mark.parametrize(
    ("names", "quant", "chosen"),
    [
        (["m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-F16.gguf"], "", "m-Q4_K_M.gguf"),
        (["m-Q8_0.gguf", "m-Q4_0.gguf"], "", "m-Q4_0.gguf"),
        (["m-IQ3_XXS.gguf", "m-Q8_0.gguf"], "", "m-Q8_0.gguf"),
        (["m-Q8_0.gguf", "m-Q4_K_M.gguf"], "q8_0", "m-Q8_0.gguf"),
        (["m.Q4_K_S.gguf", "m.Q4_K_M.gguf"], "Q4_K_S", "m.Q4_K_S.gguf"),
        (["m-UD-Q4_K_XL.gguf", "m-Q4_K_M.gguf"], "UD-Q4_K_XL", "m-UD-Q4_K_XL.gguf"),
        (["m-UD-Q2_K_XL.gguf", "m-Q4_K_M.gguf"], "Q2_K_XL", "m-UD-Q2_K_XL.gguf"),
        (["gpt-mxfp4.gguf", "gpt-F16.gguf"], "", "gpt-mxfp4.gguf"),
        (["nothing-said.gguf"], "", "nothing-said.gguf"),
        (["sub/BF16/m-BF16.gguf", "imatrix.gguf"], "bf16", "sub/BF16/m-BF16.gguf"),
    ],
)
def test_the_file_of_a_quantisation(names: list[str], quant: str, chosen: str) -> None:
    assert [file.path for file in choose(files(*names), REPO, quant).shards] == [chosen]


def test_a_split_model_comes_with_all_its_parts_in_order() -> None:
    names = ["m-Q4_K_M-00002-of-00003.gguf", "m-Q4_K_M-00001-of-00003.gguf", "m-Q4_K_M-00003-of-00003.gguf"]
    chosen = choose(files(*names, "m-Q8_0-00001-of-00002.gguf"), REPO, "")
    assert [file.path for file in chosen.shards] == sorted(names)


def test_a_split_model_with_a_part_missing_is_not_offered() -> None:
    with pytest.raises(ConfigError, match=r"Available: Q4_0\.$"):
        choose(files("m-Q8_0-00001-of-00002.gguf", "m-Q4_0.gguf"), REPO, "Q8_0")


def test_the_projector_for_images_is_taken_along() -> None:
    chosen = choose(files("mmproj-m-F32.gguf", "m-Q4_0.gguf", "mmproj-m-F16.gguf"), REPO, "")
    assert chosen.mmproj is not None and chosen.mmproj.path == "mmproj-m-F16.gguf"
    assert [file.path for file in chosen.shards] == ["m-Q4_0.gguf"]


def test_an_unknown_quantisation_names_the_available_ones() -> None:
    with pytest.raises(ConfigError, match=r"no quantisation Q5_K_M\. Available: Q4_0, Q8_0\."):
        choose(files("m-Q8_0.gguf", "m-Q4_0.gguf"), REPO, "Q5_K_M")


def test_a_repository_without_gguf_files() -> None:
    with pytest.raises(ConfigError, match="has no GGUF files"):
        choose(files("model.safetensors", "config.json", "mmproj-F16.gguf"), REPO, "")


def test_the_quantisation_is_read_off_the_name() -> None:
    names = {"a-Q4_K_M.gguf": "Q4_K_M", "Qwen3-8B.gguf": "", "b.f16.gguf": "F16", "c-Q8_0-00001-of-00002.gguf": "Q8_0"}
    assert {name: quant_of(HubFile(path=name, size=1)) for name in names} == names


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("acme/Tiny-GGUF", True),
        ("acme/Tiny-GGUF:Q4_K_M", True),
        ("models/tiny.gguf", False),
        ("/models/tiny", False),
        ("./acme/tiny", False),
        ("tiny", False),
        ("a/b/c", False),
        ("acme/tiny:", False),
    ],
)
def test_names_of_hubs_and_files(name: str, answer: bool) -> None:
    assert is_hub_name(name) is answer


# Downloading


def test_a_model_is_downloaded_once(server: Hub, tmp_path: Path) -> None:
    first = get(server, tmp_path)
    assert first.read_bytes() == WEIGHTS and first.name == "Tiny-Q4_K_M.gguf"
    asked = len(server.seen)
    assert get(server, tmp_path) == first
    assert len(server.seen) == asked, "what is here needs no network"
    assert sorted(path.name for path in first.parent.iterdir()) == [".lock", "Tiny-Q4_K_M.gguf", "default.json"]


def test_a_quantisation_is_a_file_of_its_own(server: Hub, tmp_path: Path) -> None:
    assert get(server, tmp_path, REPO + ":q8_0").name == "Tiny-Q8_0.gguf"
    assert get(server, tmp_path).name == "Tiny-Q4_K_M.gguf"


def test_a_file_that_vanished_is_downloaded_again(server: Hub, tmp_path: Path) -> None:
    get(server, tmp_path).unlink()
    assert get(server, tmp_path).read_bytes() == WEIGHTS


def test_the_endpoint_comes_from_the_environment(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.token = "hf_good"
    monkeypatch.setenv("HF_ENDPOINT", server.url + "/")
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert download(REPO, tmp_path, quiet).path.read_bytes() == WEIGHTS


def test_a_broken_download_goes_on_where_it_ended(server: Hub, tmp_path: Path) -> None:
    server.cut_after = [1_000_000, 500_000]
    assert get(server, tmp_path).read_bytes() == WEIGHTS
    ranges = [headers.get("range", "") for headers in server.asked_for("Tiny-Q4_K_M.gguf")]
    assert ranges == ["", "bytes=1000000-", "bytes=1500000-"]
    assert server.sent == len(WEIGHTS), "no byte was sent twice"


def test_a_later_start_goes_on_too(server: Hub, tmp_path: Path) -> None:
    server.cut_after = [700_000] + [0] * 20
    with pytest.raises(ConfigError, match=r"Cannot reach 127\.0\.0\.1 \(the connection was lost\)"):
        get(server, tmp_path)
    server.cut_after = []
    assert get(server, tmp_path).read_bytes() == WEIGHTS
    assert server.asked_for("Tiny-Q4_K_M.gguf")[-1]["range"] == "bytes=700000-"


def test_a_file_that_changed_meanwhile_is_downloaded_from_its_start(server: Hub, tmp_path: Path) -> None:
    server.cut_after = [700_000] + [0] * 20
    with pytest.raises(ConfigError):
        get(server, tmp_path)
    other = Random(8).randbytes(3_000_000)
    server.files["Tiny-Q4_K_M.gguf"], server.version, server.cut_after = other, "2", []
    server.sha256["Tiny-Q4_K_M.gguf"] = sha256(other).hexdigest()
    assert get(server, tmp_path).read_bytes() == other


def test_a_wrong_checksum_is_refused_and_nothing_stays(server: Hub, tmp_path: Path) -> None:
    server.sha256["Tiny-Q4_K_M.gguf"] = "0" * 64
    with pytest.raises(ConfigError, match="checksum mismatch"):
        get(server, tmp_path)
    assert [path.name for path in (tmp_path / "acme--Tiny-GGUF").iterdir()] == [".lock"]


def test_a_part_file_that_is_whole_needs_no_request(server: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "acme--Tiny-GGUF"
    folder.mkdir()
    (folder / "Tiny-Q4_K_M.gguf.part").write_bytes(WEIGHTS)
    assert get(server, tmp_path).read_bytes() == WEIGHTS
    assert server.asked_for("Tiny-Q4_K_M.gguf") == []


def test_two_at_once_download_it_once(server: Hub, tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(get(server, tmp_path).read_bytes())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [WEIGHTS] * 3
    assert len(server.asked_for("Tiny-Q4_K_M.gguf")) == 1


def test_a_list_in_pages(server: Hub) -> None:
    server.page_size = 2
    assert [file.path for file in client(server).files(REPO)] == list(server.files)


def test_paths_that_leave_the_folder_are_passed_over(server: Hub) -> None:
    server.files.update({"../evil.gguf": b"x", "/etc/evil.gguf": b"x", "a/../../evil.gguf": b"x"})
    server.sha256.update(dict.fromkeys(server.files, ""))
    assert not any("evil" in file.path for file in client(server).files(REPO))


def test_the_token_is_not_shown_to_another_host(server: Hub, tmp_path: Path) -> None:
    with hub(REPO, server.files) as files_host:
        server.token = "hf_good"
        server.redirect_to = files_host.url
        found = download(REPO, tmp_path, quiet, client(server, "hf_good"))
        assert found.path.read_bytes() == WEIGHTS
        assert all("authorization" not in headers for _, headers in files_host.seen)
        assert all(headers["authorization"] == "Bearer hf_good" for _, headers in server.seen)


# Refusals


def refusal(server: Hub, cache: Path, token: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        download(REPO, cache, quiet, client(server, token))
    return str(caught.value)


def test_an_unknown_repository(server: Hub, tmp_path: Path) -> None:
    server.status = 404
    assert refusal(server, tmp_path).startswith(f"Model {REPO} not found on 127.0.0.1")
    server.status, server.error_code = 401, "RepoNotFound"
    assert refusal(server, tmp_path).startswith(f"Model {REPO} not found on 127.0.0.1")


def test_a_gated_repository(server: Hub, tmp_path: Path) -> None:
    server.token = "hf_good"
    assert "Set HF_TOKEN; accept its terms at" in refusal(server, tmp_path)
    message = refusal(server, tmp_path, "hf_secret")
    assert "Your HF_TOKEN does not open it" in message and "hf_secret" not in message
    server.status = 403
    assert f"{REPO} is gated or private" in refusal(server, tmp_path)


def test_a_hub_in_trouble(server: Hub, tmp_path: Path) -> None:
    server.status = 503
    assert "answered with status 503" in refusal(server, tmp_path)


def test_no_network(tmp_path: Path) -> None:
    with hub(REPO, {}) as gone:
        url = gone.url
    with pytest.raises(ConfigError, match=r"Cannot reach 127\.0\.0\.1 .* give a local file: --model FILE\.gguf"):
        download(REPO, tmp_path, quiet, HubClient(url, pause=0))


def test_not_enough_space(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "SPARE_BYTES", 10**18)
    assert "3 MB are to be downloaded" in refusal(server, tmp_path)
    assert server.asked_for("Tiny-Q4_K_M.gguf") == []


def test_a_cache_that_is_a_file(server: Hub, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(ConfigError, match="cannot be used: "):
        download(REPO, tmp_path / "cache", quiet, client(server))


# Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_in_a_log_is_a_line_every_ten_percent() -> None:
    out = io.StringIO()
    report = Progress(out)
    for here in range(1001):
        report("m.gguf", here * 1_000_000, 1_000_000_000)
    assert out.getvalue().splitlines() == [f"m.gguf: {percent} % of 1,000 MB" for percent in range(0, 101, 10)]


def test_progress_on_a_terminal_is_one_line() -> None:
    out = Terminal()
    report = Progress(out)
    for here in range(1001):
        report("m.gguf", here * 1_000_000, 1_000_000_000)
    assert out.getvalue().count("\n") == 1 and out.getvalue().endswith(
        "\r\x1b[2Km.gguf 100% ▕████████████████████▏ 1.0 GB/1.0 GB\n"
    )
    assert out.getvalue().count("\r") < 100


async def test_a_download_through_the_proxy_of_the_environment(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.url.rpartition(":")[2]
    async with proxying({"hub.example": "127.0.0.1"}, "pass-word") as proxy:

        def through(**variables: str) -> HubClient:
            found = from_environment({"HTTP_PROXY": f"http://user:pass-word@127.0.0.1:{proxy.port}", **variables})
            monkeypatch.setattr("antiphon.backends.llama.hub.client.environment_proxies", lambda: found)
            return HubClient(f"http://hub.example:{port}", pause=0)

        far = through()
        got = await asyncio.to_thread(download, REPO, tmp_path, quiet, far)
        assert got.path.read_bytes() == WEIGHTS
        assert len(proxy.asked) > 1 and all(one.startswith(f"GET http://hub.example:{port}/") for one in proxy.asked)
        count = len(proxy.asked)
        for variables in ({"NO_PROXY": ".example"}, {"HTTP_PROXY": f"socks5://127.0.0.1:{proxy.port}"}):
            with pytest.raises(ConfigError, match="Cannot reach hub"):
                await asyncio.to_thread(through(**variables).files, REPO)
        assert len(proxy.asked) == count
