"""deploy/compose.yaml as it is written: closed, and agreeing with the server and what watches."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from service.configuration import load_settings
from service.readiness import LAST_STEP_SECONDS
from service.settings import Settings
from tests.conftest import ROOT
from tests.deploy.monitoring import FOLDER

FILE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, Any] = FILE["services"]
REPLICAS = [name for name in SERVICES if name.startswith("sumserve")]
REACHED = {name for name, own in SERVICES.items() if "ports" in own}


def settings(name: str) -> Settings:
    """A replica's, where nobody sets anything in compose's own environment."""
    given = {
        key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value)
        for key, value in SERVICES[name]["environment"].items()
    }
    return load_settings(given, {})


def test_there_are_two_replicas_and_what_balances_and_watches_them() -> None:
    assert set(SERVICES) == {"sumserve-1", "sumserve-2", "haproxy", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_closed_and_bounded(name: str) -> None:
    own = SERVICES[name]
    assert own["read_only"]
    assert own["cap_drop"] == ["ALL"]
    assert own["security_opt"] == ["no-new-privileges:true"]
    assert own["mem_limit"]
    assert own["pids_limit"]
    assert all(port.startswith("127.0.0.1:") for port in own.get("ports", []))


def test_replicas_are_in_a_network_that_leads_nowhere_and_publish_nothing() -> None:
    assert FILE["networks"]["replicas"] == {"internal": True}
    for name in REPLICAS:
        assert SERVICES[name]["networks"] == ["replicas"]
        assert name not in REACHED


def test_what_asks_replicas_is_in_their_network_and_what_is_published_in_another() -> None:
    of = {name: set(own.get("networks", ["default"])) for name, own in SERVICES.items()}
    assert {name for name in of if "replicas" in of[name]} == {*REPLICAS, "haproxy", "prometheus"}
    assert all("default" in of[name] for name in REACHED)


@pytest.mark.parametrize("name", REPLICAS)
def test_a_replica_that_goes_answers_first_what_it_has_accepted(name: str) -> None:
    own = settings(name)
    leaving = own.grace_seconds + own.drain_seconds
    assert leaving >= own.timeout_seconds
    given = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert given > leaving + LAST_STEP_SECONDS


def test_streams_are_refused_before_their_disk_is_full() -> None:
    for name in REPLICAS:
        (disk,) = re.findall(r"size=(\d+)m", SERVICES[name]["tmpfs"][0])
        assert settings(name).max_spool_bytes <= 0.8 * int(disk) * 2**20


def test_compose_scrapes_the_replicas_and_the_balancer_that_it_starts() -> None:
    scraped = yaml.safe_load((FOLDER / "prometheus-compose.yml").read_text())["scrape_configs"]
    found = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped}
    assert found["sumserve"] == [f"{name}:8080" for name in REPLICAS]
    assert found["haproxy"] == [f"haproxy:{SERVICES['haproxy']['environment']['STATS_PORT']}"]


def test_nobody_can_log_in_to_grafana() -> None:
    about = SERVICES["grafana"]["environment"]
    assert about["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert about["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert about["GF_AUTH_BASIC_ENABLED"] == "false"
    assert about["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"


def test_grafana_asks_the_prometheus_that_compose_starts() -> None:
    source = FOLDER / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (own,) = yaml.safe_load(source.read_text())["datasources"]
    assert own["url"] == "${PROMETHEUS_URL}"
    assert SERVICES["grafana"]["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"


def test_no_file_has_a_name_that_compose_takes_by_itself_but_is_none_of_its_own() -> None:
    names = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
    found = [file for name in names for file in (ROOT / "deploy").rglob(name)]
    assert found == [ROOT / "deploy" / "compose.yaml"]
