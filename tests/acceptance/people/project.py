"""Rows of the security team and of the contributor: what the project has, and what holds a change."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import yaml
from packaging.utils import canonicalize_name

from tests.acceptance.command import ROOT


def p18_what_a_security_team_asks_for(folder: Path) -> str:
    """How to report, a threat model, hashes, a bill of materials that the lock confirms, a release process."""
    policy = (ROOT / "SECURITY.md").read_text()
    assert re.search(r"(?i)report", policy) and len(policy) > 500
    threats = (ROOT / "docs/security.md").read_text()
    assert re.search(r"(?i)threat", threats), "docs/security.md has no threat model"
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)
    assert pinned and "pytest" not in pinned and lock.count("--hash=sha256:") >= len(pinned)
    parts = json.loads((ROOT / "sbom.cdx.json").read_text())["components"]
    assert {canonicalize_name(part["name"]) for part in parts} <= {canonicalize_name(name) for name in pinned}
    assert "scripts/release" in (ROOT / "CONTRIBUTING.md").read_text() and (ROOT / "scripts/release").is_file()
    return f"SECURITY.md, a threat model, {len(pinned)} packages with hashes, {len(parts)} in the bill of materials"


def c3_a_profile_has_its_row(folder: Path) -> str:
    """A profile that nobody describes: the generated page differs, and tests name what is missing."""
    program = textwrap.dedent("""
        import sys
        from antiphon.backends.chat import profiles
        profiles.PROFILES["quirky"] = profiles.Profile(name="quirky", top_k=True)
        import pytest
        from tests.backends.vendors.page import render
        from pathlib import Path
        assert render() != Path("docs/backends.md").read_text()
        named = ("tests/backends/chat/test_profiles.py", "tests/backends/vendors/test_vendors.py")
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "every_known_profile or every_profile_has", *named]))
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    failed = re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE)
    assert len(failed) == 2, done.stdout + done.stderr
    return f"the page differs, and {' and '.join(failed)} fail"


def c7_the_workflow_is_true(folder: Path) -> str:
    """The workflow of the public forge runs what there is, on every Python that is promised, on two systems."""
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    matrix = job["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"] and len(matrix["system"]) == 2
    scripts = [word for step in job["steps"] for word in step.get("run", "").split() if word.startswith("scripts/")]
    assert {"scripts/install", "scripts/lint", "scripts/docs", "scripts/test"} <= set(scripts)
    assert all((ROOT / script).is_file() for script in scripts)
    return f"{' '.join(dict.fromkeys(scripts))} on {', '.join(matrix['system'])}, Python {', '.join(matrix['python'])}"
