"""Where user-given URLs may lead."""

import asyncio

import pytest

from antiphon.errors import ConfigError, InvalidRequest
from antiphon.net import url_guard
from antiphon.net.url_guard import UrlGuard

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
    "http://localhost.:8000/x",
    "http://127.0.0.1./x",
    "http://0177.0.0.1/x",
    "http://LOCALHOST/x",
    "http://a.localhost/x",
    "http://ip6-localhost/x",
    "http://localhost.localdomain/x",
    "http://db/x",
    "http://printer.local/x",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://internal-service.default.svc.cluster.local/x",
    "http://1.2.3.4.5/x",
    "http://evil.example.0x7f/x",
    "http://168.63.129.16/machine",
    "http://100.100.100.200/latest/meta-data",
    "http://192.0.0.192/opc/v2",
    "http://[fd00:ec2::254]/latest",
    "http://[fec0::1]/x",
    "http://[::127.0.0.1]/x",
    "http://[::ffff:0:7f00:1]/x",
    "http://[64:ff9b:1::7f00:1]/x",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/x",
    "http://[2606:4700::5efe:7f00:1]/x",
    "http://\uff11\uff12\uff17.0.0.1/x",
    "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/x",
]

MALFORMED = [
    "ftp://example.com/x",
    "file:///etc/passwd",
    "http://",
    "http://user:pass@8.8.8.8/",
    "8.8.8.8",
    "http://8.8.8.8:99999/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1%00.evil.com/",
    "http://8.8.8.8\\@127.0.0.1/",
    "http://8.8.8.8\\.example.com/",
    "http://8.8.8.8#@127.0.0.1/\n",
    "http://8.8\t.8.8/",
    "http:// 8.8.8.8/",
    " http://8.8.8.8/",
    "http://[::1%25lo]/",
    "http://[8.8.8.8]/",
    "http://exa mple.com/",
    "http://a..b/",
    "http://" + "a" * 254,
    "http://8.8.8.8/" + "a" * 9000,
    "http://xn--\udcff.com/",
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
    checker = UrlGuard(["127.0.0.0/8", "fd00::/8"])
    await checker.check("http://127.0.0.1:1/x", "x")
    await checker.check("http://[::ffff:127.0.0.1]/x", "x")
    await checker.check("http://[fd00::1]/x", "x")
    with pytest.raises(InvalidRequest):
        await checker.check("http://10.0.0.1/x", "x")


async def test_an_allowed_host_passes_and_only_it():
    checker = UrlGuard(["images.test", "*.cluster.local", "db"])
    for url in ("http://images.test/x", "http://IMAGES.test.:8/x", "http://a.b.cluster.local/x", "http://db/x"):
        await checker.check(url, "x")
    for url in ("http://x.images.test/x", "http://cluster.local/x", "http://127.0.0.1/x"):
        with pytest.raises(InvalidRequest):
            await checker.check(url, "x")


async def test_names_of_somebodys_own_network_are_not_looked_up(monkeypatch):
    async def asked(*args, **kwargs):
        raise AssertionError("the DNS was asked")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", asked)
    with pytest.raises(InvalidRequest) as refused:
        await UrlGuard().check("http://secret-service.internal/", "x")
    assert refused.value.code == "url_not_allowed"


async def test_slow_names_are_looked_up_a_few_at_a_time_and_not_for_ever(monkeypatch):
    running = most = 0

    async def slow(*args, **kwargs):
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(60)
        finally:
            running -= 1

    monkeypatch.setattr(url_guard, "LOOKUP_SECONDS", 0.1)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", slow)
    checker = UrlGuard()
    checks = [checker.check(f"http://slow{n}.example/", "x") for n in range(20)]
    assert all(isinstance(one, InvalidRequest) for one in await asyncio.gather(*checks, return_exceptions=True))
    assert (most, running) == (url_guard.LOOKUPS_OF_OWNER, 1), "nothing can stop the thread, so its turn goes on"


async def test_a_name_leads_to_the_address_that_was_checked():
    assert await UrlGuard(["127.0.0.0/8", "::1/128"]).resolve("localhost", 80) in ("127.0.0.1", "::1")


async def test_a_name_without_address_says_so():
    with pytest.raises(InvalidRequest) as refused:
        await UrlGuard().check("http://no-such-host.invalid/x", "x")
    assert refused.value.code == "url_not_reachable"


def test_a_bad_network_is_the_operators_mistake():
    with pytest.raises(ConfigError, match="not a network"):
        UrlGuard(["not a network"])
