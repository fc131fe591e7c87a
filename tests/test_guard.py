"""Where user-given URLs may lead."""

import pytest

from antiphon.errors import ConfigError, InvalidRequest
from antiphon.guard import UrlGuard

REFUSED = [
    "http://127.0.0.1/x",
    "http://127.1/x",
    "http://2130706433/x",
    "http://0x7f.0.0.1/x",
    "http://localhost:8000/x",
    "http://0.0.0.0/x",
    "http://10.0.0.1/x",
    "http://172.16.0.1/x",
    "http://192.168.1.1/x",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/x",
    "http://[::1]/x",
    "http://[::ffff:127.0.0.1]/x",
    "http://[::ffff:a00:1]/x",
    "http://[64:ff9b::7f00:1]/x",
    "http://[2002:7f00:1::]/x",
    "http://[fe80::1]/x",
    "http://[fd00::1]/x",
    "http://224.0.0.1/x",
    "http://255.255.255.255/x",
]

MALFORMED = [
    "ftp://example.com/x",
    "file:///etc/passwd",
    "http://",
    "http://user:pass@8.8.8.8/",
    "8.8.8.8",
    "http://8.8.8.8:99999/",
]


@pytest.mark.parametrize("url", REFUSED)
async def test_private_and_special_addresses_are_refused(url):
    with pytest.raises(InvalidRequest) as refused:
        await UrlGuard().check(url, "tools[0].server_url")
    assert (refused.value.code, refused.value.param) == ("url_not_allowed", "tools[0].server_url")


@pytest.mark.parametrize("url", MALFORMED)
async def test_other_schemes_and_users_are_refused(url):
    with pytest.raises(InvalidRequest) as refused:
        await UrlGuard().check(url, "x")
    assert refused.value.code == "invalid_url"


@pytest.mark.parametrize("url", ["http://8.8.8.8/x", "https://[2606:4700:4700::1111]/mcp"])
async def test_public_addresses_pass(url):
    await UrlGuard().check(url, "x")


async def test_an_allowed_network_passes_and_only_it():
    guard = UrlGuard(["127.0.0.0/8", "fd00::/8"])
    await guard.check("http://127.0.0.1:1/x", "x")
    await guard.check("http://[::ffff:127.0.0.1]/x", "x")
    await guard.check("http://[fd00::1]/x", "x")
    with pytest.raises(InvalidRequest):
        await guard.check("http://10.0.0.1/x", "x")


async def test_a_name_leads_to_the_address_that_was_checked():
    assert await UrlGuard(["127.0.0.0/8", "::1/128"]).resolve("localhost", 80) in ("127.0.0.1", "::1")


async def test_a_name_without_address_says_so():
    with pytest.raises(InvalidRequest) as refused:
        await UrlGuard().check("http://no-such-host.invalid/x", "x")
    assert refused.value.code == "url_not_reachable"


def test_a_bad_network_is_the_operators_mistake():
    with pytest.raises(ConfigError, match="not-a-network"):
        UrlGuard(["not-a-network"])
