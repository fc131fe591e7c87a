"""What is installed is pinned: every package by version and hash, every image by digest; the wheel says what it needs."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.needs import NEEDS, left_out

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
LOCKS = (
    "requirements.lock",
    "requirements-build.lock",
    "requirements-dev.lock",
    "requirements-site.lock",
    "tests/page/requirements.txt",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MOST_BASE_PACKAGES = 18


def locked(name: str) -> dict[str, tuple[Requirement, list[str]]]:
    """Return a lock's packages by name: what it asks for, and the hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    found: dict[str, tuple[Requirement, list[str]]] = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            asked, *hashes = line.split(" --hash=")
            requirement = Requirement(asked.strip())
            found[canonicalize_name(requirement.name)] = requirement, [one.strip() for one in hashes]
    return found


def installed_here(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def base_packages() -> set[str]:
    """Return the names of what a plain install brings, by the metadata of what is installed here."""
    todo = [Requirement(one) for one in PROJECT["project"]["dependencies"]]
    found: set[str] = set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if installed_here(requirement) and name not in found:
            found.add(name)
            todo += [Requirement(one) for one in importlib.metadata.requires(name) or ()]
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_one_version_and_hashes(lock: str) -> None:
    packages = locked(lock)
    assert packages
    for name, (requirement, hashes) in packages.items():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), name
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), name


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    groups = PROJECT["dependency-groups"]
    wanted = {
        "requirements.lock": [*project["dependencies"], *extras["mcp"], *extras["postgres"]],
        "requirements-build.lock": [*groups["build"], *PROJECT["build-system"]["requires"]],
        "requirements-site.lock": groups["site"],
        "requirements-dev.lock": [
            *project["dependencies"],
            *[one for name, extra in extras.items() if name != "all" for one in extra],
            *groups["dev"],
            *groups["build"],
        ],
    }
    for lock, texts in wanted.items():
        packages = locked(lock)
        for requirement in map(Requirement, texts):
            if installed_here(requirement):
                pinned, _ = packages[canonicalize_name(requirement.name)]
                (version,) = pinned.specifier
                assert requirement.specifier.contains(version.version, prereleases=True), (lock, requirement)


def test_the_locks_agree() -> None:
    dev = locked("requirements-dev.lock")
    for lock in LOCKS[:2]:
        for name, (requirement, _) in locked(lock).items():
            if installed_here(requirement):
                assert str(dev[name][0].specifier) == str(requirement.specifier), name


def test_the_bill_of_materials_is_what_the_lock_installs() -> None:
    bill = json.loads((ROOT / "sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == PROJECT["project"]["name"]
    listed = {canonicalize_name(one["name"]): f"=={one['version']}" for one in bill["components"]}
    asked = {name: str(one.specifier) for name, (one, _) in locked("requirements.lock").items() if installed_here(one)}
    for name in asked.keys() | listed.keys():
        assert listed.get(name) == asked.get(name) or sys.version_info[:2] != (3, 11), name


def test_a_plain_install_is_small() -> None:
    assert len(base_packages()) <= MOST_BASE_PACKAGES


@pytest.mark.slow  # a process
def test_the_wheel_carries_its_bill_of_materials(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if ".dist-info/sboms/" in name]
        assert archive.read(name) == (ROOT / "sbom.cdx.json").read_bytes()


# What the public forge runs


def test_actions_are_named_by_commit_and_may_only_read() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    used = re.findall(r"uses: (.*)", text)
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) for one in used)
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert all(job["permissions"] == {"contents": "read"} for job in workflow["jobs"].values())


def test_every_python_that_is_promised_is_tested() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    tested = set(workflow["jobs"]["check"]["strategy"]["matrix"]["python"])
    promised = {one.rpartition(" ")[2] for one in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", one)}
    assert tested == promised == {"3.11", "3.12", "3.13", "3.14"}


INSTALLED = {"Linux": {"postgresql", "mcp", "sandlock"}, "macOS": {"postgresql", "mcp"}}
"""What tests need and requirements-dev.lock has; `sandlock` also needs Linux 6.12, which the runners have."""
ON_RUNNERS = {"chromium"}
"""What tests need and the images of the forge's runners have: Chrome."""
PACKAGED = {"pgbouncer": "pgbouncer", "bwrap": "bubblewrap"}
"""What tests need → its package of the system."""


def test_what_tests_need_is_on_the_runners_or_left_out_by_name() -> None:
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    for system in ("Linux", "macOS"):
        steps = [step for step in job["steps"] if step.get("if", f"runner.os == '{system}'").endswith(f"'{system}'")]
        (tested,) = (step for step in steps if step.get("run", "").startswith("scripts/test"))
        words = " ".join(step["run"] for step in steps if "apt-get" in step.get("run", "")).split()
        here = INSTALLED[system] | ON_RUNNERS | {need for need, package in PACKAGED.items() if package in words}
        wanted = {name for name, need in NEEDS.items() if not need.system}
        assert wanted - here == left_out(tested["env"]) & wanted, system


# Images, and what they may do


def test_images_are_named_by_digest() -> None:
    composed = [yaml.safe_load(path.read_text()) for path in sorted(DEPLOY.glob("compose*.yaml"))]
    services = [one for file in composed for one in file["services"].values()]
    images = [one["image"] for one in services if "image" in one and "build" not in one]
    images += re.findall(r"^ARG PYTHON=(\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) == 6
    assert all(re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", image) for image in images)
    assert set(re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)) == {"${PYTHON}"}


def test_no_deployment_has_a_password_of_its_own() -> None:
    for path in (*DEPLOY.glob("compose*.yaml"), DEPLOY / "helm/antiphon/values.yaml", DEPLOY / "Dockerfile"):
        assert not re.search(r"(PASSWORD|SECRET|KEYS?)\}?:-", path.read_text()), path
        assert not re.search(r"(?i)(password|secret|api_key)\s*[:=]\s*[\"']?[a-z0-9]+[\"']?\s*$", path.read_text()), (
            path
        )


def test_deployments_give_the_process_no_more_than_it_needs() -> None:
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert composed["networks"]["back"]["internal"] is True
    for name, service in composed["services"].items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["networks"], name
    for name in ("antiphon-1", "antiphon-2"):
        service = composed["services"][name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["mem_limit"], name
    unit = (DEPLOY / "systemd/antiphon.service").read_text().splitlines()
    for line in ("NoNewPrivileges=yes", "SystemCallFilter=@system-service", "CapabilityBoundingSet="):
        assert line in unit
    assert any(line.startswith("MemoryMax=") for line in unit)
    pod = (DEPLOY / "helm/antiphon/templates/deployment.yaml").read_text()
    assert "seccompProfile: {type: RuntimeDefault}" in pod and "automountServiceAccountToken: false" in pod
    policy = (DEPLOY / "helm/antiphon/templates/networkpolicy.yaml").read_text()
    for network in ("10.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "192.168.0.0/16"):
        assert network in policy
