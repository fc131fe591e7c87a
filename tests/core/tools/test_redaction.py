"""Declarations of tools are shown without their secrets."""

import json

import pytest
from msgspec import Raw

from antiphon.core.request.decoding import decode_items, decode_tools
from antiphon.core.request.echo import echo_tools
from antiphon.core.tools.redaction import REDACTED, shown_url, without

CANARY = "CANARY"


def shown(tool):
    return shown_text(json.dumps(tool))


def shown_text(tool):
    return json.loads(bytes(echo_tools(decode_tools([Raw(tool.encode())]))))[0]


SECRETIVE = [
    {"authorization": CANARY},
    {"headers": {"Authorization": f"Bearer {CANARY}"}},
    {"headers": {CANARY: "x"}},
    {"headers": [CANARY]},
    {"Authorization": CANARY},
    {"api_key": CANARY},
    {"server_url": f"https://x.example/{CANARY}/mcp"},
    {"server_url": f"https://x.example?key={CANARY}"},
    {"server_url": f"https://x.example/#{CANARY}"},
    {"server_url": f"https://{CANARY}@x.example/"},
    {"server_url": f"https://u:{CANARY}@x.example:8/mcp"},
    {"server_url": f"https://x.example\\{CANARY}"},
    {"server_url": [CANARY]},
    {"server_url": f"data:{CANARY}"},
]


@pytest.mark.parametrize("secret", SECRETIVE)
def test_an_mcp_declaration_shows_no_secret(secret):
    tool = {"type": "mcp", "server_label": "x", "server_description": "About.", "require_approval": "never", **secret}
    for spelled in (json.dumps(tool), json.dumps(tool).replace("authorization", "\\u0061uthorization")):
        echoed = shown_text(spelled)
        assert CANARY not in json.dumps(echoed)
        assert (echoed["server_label"], echoed["server_description"]) == ("x", "About.")


@pytest.mark.parametrize("type", ["additional_tools", "tool_search_output"])
@pytest.mark.parametrize("secret", SECRETIVE)
def test_items_that_bring_tools_keep_no_secret(secret, type):
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    item = {"type": type, "role": "developer", "tools": [{"type": "mcp", "server_label": "x", **secret}, function]}
    kept = json.loads(bytes(decode_items([Raw(json.dumps(item).encode())])[0].raw))
    assert CANARY not in json.dumps(kept)
    assert kept["tools"][1] == function


def test_secrets_of_a_network_policy_are_not_shown():
    policy = {"type": "allowlist", "allowed_domains": ["a"], "domain_secrets": [{"domain": "a", "value": CANARY}]}
    for tool in (
        {"type": "shell", "environment": {"type": "container_auto", "network_policy": policy}},
        {"type": "code_interpreter", "container": {"type": "auto", "network_policy": policy}},
    ):
        assert CANARY not in json.dumps(shown(tool))
        assert "allowed_domains" in json.dumps(shown(tool))


def test_other_tools_are_shown_as_they_came():
    tool = {"type": "image_generation", "quality": "high"}
    assert shown(tool) == tool


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://x.example/mcp", f"https://x.example/{REDACTED}"),
        ("https://x.example", "https://x.example"),
        ("https://x.example/", "https://x.example"),
        ("http://[::1]:8080/a?b", f"http://[::1]:8080/{REDACTED}"),
        ("http://bücher.example/ü", f"http://bücher.example/{REDACTED}"),
        ("nonsense", REDACTED),
        ("", REDACTED),
    ],
)
def test_a_url_is_shown_as_its_origin(url, seen):
    assert shown_url(Raw(json.dumps(url).encode())) == seen


def test_masking_a_text():
    assert without("no token-1 here, nor token-2", ["token-1", "token-2"]) == f"no {REDACTED} here, nor {REDACTED}"
