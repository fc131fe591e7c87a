"""Files of deploy/ looked at by the tools of their makers: `scripts/acceptance deploy`, which installs these (about 350 MB).

The chart is linted and rendered by Helm itself (its SDK), with several values; each manifest is held against Kubernetes'
schemas, strictly; hadolint reads the Dockerfile.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import helm_python  # type: ignore[import-not-found]  # installed for this run only
import kubernetes_validate  # type: ignore[import-not-found]  # likewise
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm/antiphon"
VALUES: tuple[dict[str, object], ...] = (
    {},
    {"replicas": 1, "image": {"digest": "sha256:" + "0" * 64}},
    {"networkPolicy": {"enabled": False}, "autoscaling": {"enabled": True}, "ingress": {"enabled": True}},
    {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "api.example.com",
            "tlsSecret": "api-tls",
            "annotations": {"nginx.ingress.kubernetes.io/proxy-buffering": "off"},
        },
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "kps"},
            "keySecret": {"name": "antiphon", "key": "m"},
        },
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "imagePullSecrets": [{"name": "registry"}],
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
        "serviceAccountName": "antiphon",
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "a"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "priorityClassName": "high",
    },
)
WRONG: tuple[dict[str, object], ...] = (
    {"replica": 3},
    {"service": {"port": "eighty"}},
    {"image": {"digest": "latest"}},
    {"serviceMonitor": {"enabled": True}},
    {"ingress": {"enabled": True, "tlsSecret": "api-tls"}},
)
"""Values that values.schema.json or a template must refuse."""

CUSTOM = ("monitoring.coreos.com/",)
"""Groups whose schemas Kubernetes does not have."""

VERSIONS = ("1.29", "1.33", "1.37")
"""Versions of Kubernetes whose schemas are looked at."""

IGNORED = ("DL3008",)
"""Rules of hadolint: versions of Debian's packages are not pinned, as old ones leave the mirrors."""


def chart_faults() -> list[str]:
    """Return what Helm's linter and Kubernetes' schemas find."""
    report = helm_python.lint(str(CHART), strict=True)
    found = [f"helm lint: {one['path']}: {one['error']}" for one in report["messages"] if one["severity"] > 1]
    found += [f"helm lint: {error}" for error in report["errors"] or ()]
    for values in VALUES:
        with helm_python.Chart.load(str(CHART)) as chart:
            rendered = chart.render(values, name="test", namespace="default")
        for name, text in rendered.items():
            if not name.endswith(".yaml"):
                continue
            for manifest in filter(None, yaml.safe_load_all(text)):
                found += [f"{name}: {fault}" for fault in _wrong(manifest)]
    return found + [f"not refused: {values}" for values in WRONG if not _refused(values)]


def _refused(values: dict[str, object]) -> bool:
    try:
        with helm_python.Chart.load(str(CHART)) as chart:
            chart.render(values, name="test", namespace="default")
    except helm_python.HelmError:
        return True
    return False


def _wrong(manifest: dict[str, object]) -> list[str]:
    found: list[str] = []
    if str(manifest["apiVersion"]).startswith(CUSTOM):
        return found
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"Kubernetes {version}: {error.message}")
    return found


def image_faults() -> list[str]:
    """Return what hadolint finds."""
    ignored = [word for rule in IGNORED for word in ("--ignore", rule)]
    line = ["hadolint", *ignored, str(DEPLOY / "Dockerfile")]
    return subprocess.run(line, capture_output=True, text=True, check=False).stdout.splitlines()


def main() -> int:
    """Print what is wrong."""
    found = [*chart_faults(), *image_faults()]
    print(
        "\n".join(found)
        or f"Helm {helm_python.helm_sdk_version()}, Kubernetes {', '.join(VERSIONS)}, hadolint: nothing to mend"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
