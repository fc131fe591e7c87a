"""URLs and headers of backends: what is taken and what is refused."""

from __future__ import annotations

import pytest

from antiphon.errors import ConfigError
from antiphon.net.http.address import Address, parse_url
from antiphon.net.http.client import HttpClient

# URLs


@pytest.mark.parametrize(
    ("url", "authority", "path", "tls"),
    [
        ("http://h:8000/v1", "h:8000", "/v1", False),
        ("http://h/v1/", "h", "/v1", False),
        ("https://h/openai/v1", "h", "/openai/v1", True),
        ("https://[::1]:8443", "[::1]:8443", "", True),
        ("unix:/run/llama.sock", "localhost", "", False),
        ("unix:///run/llama.sock:/v1/", "localhost", "/v1", False),
    ],
)
def test_urls(url: str, authority: str, path: str, tls: bool) -> None:
    address = parse_url(url)
    assert (address.authority, address.path, address.tls) == (authority, path, tls)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h/v1", "/v1/models"),
        (
            "https://h/openai/deployments/d?api-version=2024-10-21",
            "/openai/deployments/d/models?api-version=2024-10-21",
        ),
        ("https://h/v1/?a=b&c=d e", "/v1/models?a=b&c=d%20e"),
        ("https://h?key=k", "/models?key=k"),
        ("unix:/run/s:/v1?a=b", "/v1/models?a=b"),
    ],
)
def test_a_query_of_the_base_url_stays_behind_the_path(url: str, target: str) -> None:
    assert parse_url(url).target("/models") == target


@pytest.mark.parametrize(
    "url", ["h:8000", "ftp://h", "http://", "http://h:x", "http://u:secret@h/", "unix:secret", "unix:/s:secret"]
)
def test_bad_urls_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nx: y", "€"])
def test_headers_that_would_break_the_head(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HttpClient(Address(host="h", port=80), headers={"authorization": value})
    assert value not in str(caught.value)
