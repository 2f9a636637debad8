"""The catalog as people see it, in headless Chromium: the graph, a verdict, its picture."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1500,1100",
)  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="needs Chromium: install Debian's chromium and chromium-driver",
    ),
]


@pytest.fixture(scope="module")
def catalog(demo_home: Path) -> Iterator[str]:
    """The address of a web server that only reads the demo's home."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("dagster-webserver")
    places = ["--host", "127.0.0.1", "--port", str(port), "--workspace", "workspace.yaml"]
    home = {"GOVERNANCE_HOME": str(demo_home), "DAGSTER_HOME": str(demo_home / "dagster")}
    server = subprocess.Popen(
        [str(command), "--read-only", *places],
        cwd=ROOT,
        env={**os.environ, **home},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)


def _wait_for(address: str) -> None:
    for _ in range(2 * PATIENCE):
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"the web server at {address} did not start")


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium that asks nobody but the web server."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in QUIET:
        options.add_argument(argument)
    service = webdriver.ChromeService(executable_path=str(DRIVER))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def seen(browser: webdriver.Chrome, text: str) -> WebElement:
    """Wait until a text is on the page, and return what carries it."""
    where = f"//*[text()[contains(., '{text}')]]"
    return WebDriverWait(browser, PATIENCE).until(lambda page: page.find_element(By.XPATH, where))


def test_a_needs_audit_page_says_what_why_since_when_and_what_next(
    catalog: str, browser: webdriver.Chrome
) -> None:
    page = "/assets/strategies/affiliate_spam_creator_block?view=checks&checkDetail=precision"
    browser.get(catalog + page)
    seen(browser, "needs_audit")
    seen(browser, "dropped below 0.870, most likely since 2026-04")
    seen(browser, "audit the strategy, then close the audit with its finding")
    seen(browser, "precision_e_value")


def test_the_history_is_a_picture(catalog: str, browser: webdriver.Chrome) -> None:
    page = "/assets/strategies/affiliate_spam_creator_block?view=checks&checkDetail=precision"
    browser.get(catalog + page)
    seen(browser, "[Show Markdown]").click()
    width = WebDriverWait(browser, PATIENCE).until(
        lambda shown: shown.execute_script(
            "const i = [...document.images].find(i => i.alt === 'history');"
            " return i && i.complete && i.naturalWidth"
        )
    )
    assert width > 300


def test_the_graph_has_a_group_for_every_stage(catalog: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{catalog}/asset-groups")
    for group in ("landing", "quality", "marts", "accuracy", "publish", "strategies_affiliate"):
        seen(browser, group)


def test_the_refused_delivery_is_red_with_its_reason(
    catalog: str, browser: webdriver.Chrome
) -> None:
    page = "/assets/accepted/shopads/decisions?view=checks&checkDetail=critical_rules_hold"
    browser.get(catalog + page)
    seen(browser, "Failed")
    seen(browser, "refused")
