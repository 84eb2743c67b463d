"""docker-compose.yml and what lies in deploy/, read as those read it who run it."""

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.services.wanted import NotHere

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
OURS = "leadledger:"
_WORDS = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_SETTING = re.compile(r"\bLEADLEDGER_[A-Z_]*[A-Z]\b")
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@cache
def compose() -> dict[str, Any]:
    """The file, anchors resolved."""
    return read("docker-compose.yml")


def read(name: str) -> Any:
    """A YAML file of the project, as plain values."""
    return YAML(typ="safe").load(ROOT / name)


def services(*, ours: bool | None = None) -> dict[str, Any]:
    """The services by name: all, those of our image, or those of others."""
    found = compose()["services"]
    return {
        name: one for name, one in found.items() if ours in (None, one["image"].startswith(OURS))
    }


def filled(text: str, values: dict[str, str]) -> str:
    """A value of the file with its variables put in, as compose does."""

    def value(found: re.Match[str]) -> str:
        name, kind, other = found.groups()
        return values.get(name) or (other if kind == "-" else "")

    return _VARIABLE.sub(value, text)


def variables() -> dict[str, str | None]:
    """The variables that the file takes from .env, and their defaults; None where it insists."""
    text = (ROOT / "docker-compose.yml").read_text()
    found = {name: other if kind == "-" else None for name, kind, other in _VARIABLE.findall(text)}
    return found | {one["environment"]: None for one in compose()["secrets"].values()}


def example() -> dict[str, str]:
    """.env.example as values."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def known_settings() -> set[str]:
    """The variables that the product knows, by their names in its source."""
    modules = [*(ROOT / "engine").rglob("*.py"), *(ROOT / "consumers").rglob("*.py")]
    return {name for one in modules for name in _SETTING.findall(one.read_text())}


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    document: dict[str, Any] = json.loads(
        (DEPLOY / "grafana/dashboards/leadledger.json").read_text()
    )
    return document


def panel_expressions() -> dict[str, str]:
    """Every expression of the dashboard, by panel and letter, for a range of five minutes."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "5m")
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    }


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert by name."""
    groups = read("deploy/alerts.yml")["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def metrics_in(expression: str) -> set[str]:
    """The names of metrics in an expression of PromQL."""
    plain = re.sub(r'"[^"]*"', "", expression)
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|without) \([^)]*\)", "", plain)
    return {word for word in _WORDS.findall(plain) if "_" in word or word == "up"} - _FUNCTIONS


_FUNCTIONS = {"histogram_quantile"}


def program(name: str) -> str:
    """A program of Debian's package prometheus.

    Raises:
        NotHere: The package is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise NotHere(f"no {name} here: apt-get install prometheus")
    return found
