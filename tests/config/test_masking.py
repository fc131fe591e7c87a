"""What may not be seen of a server's words: the operator's own secrets, keys, addresses, paths; in linear time."""

from __future__ import annotations

import base64
import logging
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from antiphon.config import BackendConfig, Config, KeyConfig, McpServerConfig, WebhookConfig
from antiphon.config.masking import LONGEST_TEXT, SECRETS, MaskedErrors, Secrets, masked, secrets_of
from antiphon.telemetry.log import JsonFormatter, TextFormatter
from tests.growth import assert_linear, cpu_time

CONFIG = Config(
    api_keys=["client-key-one"],
    keys={"a": KeyConfig(key="client-key-two")},
    store="postgresql://antiphon:store%20password@db/antiphon",
    secret="sealing-secret",
    backends={
        "b": BackendConfig(url="http://x/v1", key="backend/key+1", headers={"authorization": "Basic header-secret"})
    },
    mcp_servers={
        "m": McpServerConfig(command="x", args=["--token", "argument-secret"], env={"T": "environment-secret"})
    },
    webhooks={"w": WebhookConfig(url="http://y", secret="whsec_c2VjcmV0")},
)
OWN = [
    "client-key-one",
    "client-key-two",
    "store password",
    "store%20password",
    "sealing-secret",
    "backend/key+1",
    "Basic header-secret",
    "header-secret",
    "argument-secret",
    "environment-secret",
    "whsec_c2VjcmV0",
]


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    SECRETS.know(secrets_of(CONFIG))
    yield
    SECRETS.know(())


@pytest.mark.parametrize("secret", OWN)
def test_every_secret_of_the_settings_is_taken_out(secret: str) -> None:
    for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")):
        for around in ("%s", "said '%s'.", "x%sy", "a=%s&b", '{"k":"%s"}'):
            assert form not in masked(around % form)


def test_short_values_and_stand_ins_are_words() -> None:
    SECRETS.know(["EMPTY", "abc", "not-needed"])
    assert masked("The EMPTY abc is not-needed") == "The EMPTY abc is not-needed"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("at http://u:p@10.0.0.5:8000/v1?key=1.", "at [address]"),
        ("postgres://u:p@h/db fails", "[address] fails"),
        ("connect to 10.1.2.3:8000, [fd00::1]:80 or vllm-0.models.svc", "connect to [address], [address] or [address]"),
        ("gpu7:8000 refused, localhost too", "[address] refused, [address] too"),
        ("with token=abcdefgh12345", "with token=[key]"),
        ('"api_key": "abcdefgh12345"', '"api_key": "[key]"'),
        ("X-Api-Key: abcdefgh12345", "X-Api-Key: [key]"),
        ("Bearer abcdefgh12345", "[key]"),
        ("AKIAABCDEFGHIJKLMNOP and eyJhbGciOi.eyJzdWIiOi.c2ln", "[key] and [key]"),
        ("ghp_0123456789abcdef hf_0123456789 sk-proj-abc***def", "[key] [key] [key]"),
        ('File "/usr/lib/python3/site-packages/x/app.py", line 3', 'File "[path]", line 3'),
        (r"C:\Users\me\key.txt is missing", "[path] is missing"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "[key]"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, seen: str) -> None:
    assert masked(text) == seen


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        "The model `Qwen/Qwen3-32B` does not exist.",
        "llama3.1:70b not found, try pulling it first",
        "Invalid value for 'tools[0].function.name': expected a string of [a-zA-Z0-9_-].",
        "'messages[1].content' must not be null; status:500",
        "request (18029 tokens) exceeds the available context size (2048 tokens), try increasing it",
    ],
)
def test_other_words_stay(text: str) -> None:
    assert masked(text) == text


SEEDS = [
    *(
        *"a a. a- a+ a:// / /home/ 10. 1.1.1.1 [ : [: :: = key= sk- eyJ eyJ. eyJa.a. a_ api_key a.local a-a. AKIA a0-".split(),
        *("\\", "C:\\", "-----"),
    ),
    *("-----BEGIN ", "-----BEGIN A-----", "Bearer ", "token ", 'token="', "key key_", " ", "x" * 63 + "."),
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("last", ["", "!", "\n"])
def test_no_text_takes_more_than_linear_time(seed: str, last: str) -> None:
    def cost(size: int) -> float:
        text = (seed * size)[:size] + last
        return cpu_time(lambda: masked(text))

    assert_linear(cost, LONGEST_TEXT // 8)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_logs_hold_no_secret_of_others_words(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("refused sealing-secret and token=abcdefgh12345")
    except ValueError:
        error = sys.exc_info()
    record = logging.LogRecord("antiphon.x", logging.WARNING, "", 0, "at db:5432: %s", ("client-key-one",), error)
    record.said = "backend/key+1"  # as by `extra=`
    line = formatter.format(record)
    assert "db:5432" in line
    assert "said" in line
    assert "backend/key+1" not in line
    assert not any(secret in line for secret in ("client-key-one", "sealing-secret", "abcdefgh12345"))


STREAM = b'data: {"a": "sk-own-secret"}\n\nevent: error\ndata: {"type":"error","error":{"message":"bad key sk-own-secret!"}}\n\n'


@pytest.mark.parametrize("size", [*range(1, 40), 1000])
def test_an_error_in_a_stream_tells_no_secret_however_it_is_cut(size: int) -> None:
    secrets = Secrets()
    secrets.know(["sk-own-secret", "another-secret"])
    masked = MaskedErrors(secrets)
    pieces = [masked.feed(STREAM[place : place + size]) for place in range(0, len(STREAM), size)]
    told = b"".join([*pieces, masked.feed(b"")])
    assert told[told.index(b"event: error") :].count(b"sk-own-secret") == 0 and told.endswith(b'!"}}\n\n')
    assert told.startswith(b"data: {") and masked.feed(b"") == b""


def test_a_stream_without_an_error_passes_as_it_comes() -> None:
    secrets = Secrets()
    secrets.know(["sk-own-secret"])
    masked = MaskedErrors(secrets)
    for piece in (b"sk-own-", b"secret", b'"erro', b"rx", b""):
        assert masked.feed(piece) == piece
