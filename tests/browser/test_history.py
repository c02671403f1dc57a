"""The page of a service over time, against the document of the same store, which a real watch has filled."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from mapscope.report.history_document import HistoryDocument, IndicatorSeries, InstanceHistory
from mapscope.report.page.history import LEAST_POINTS, MOST_POINTS, history_pack
from mapscope.report.writing import tool
from mapscope.units import human_bytes
from tests.browser import looks
from tests.browser.looks import numbers
from tests.browser.packs import Opened
from tests.browser.reports import mapscope
from tests.groundtruth import harness
from tests.groundtruth.test_profile_series import Recorded, recorded, serve
from tests.groundtruth.test_profiles import Taken
from tests.groundtruth.test_standing import waited
from tests.groundtruth.variants import Variant
from tests.services.watching import watching

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]
__all__ = ["serve"]

SETTINGS = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
window: 60s
web: {{listen: "127.0.0.1:0"}}
store: {{path: store.db}}
scrape_configs:
- job_name: shop
  executables: ["{executable}"]
  goroutine_interval: 1s
  static_configs:
  - {{targets: ["{target}"], labels: {{service: shop}}}}
"""


@dataclass(frozen=True)
class Told:
    """A store, told as a page and as JSON."""

    page: Path
    document: dict[str, Any]


def fill(folder: Path, taken: Taken, server: Recorded) -> Path:
    """The store of a watch that has seen the recorded profiles."""
    config = folder / "fleet.yml"
    config.write_text(SETTINGS.format(executable=taken.executable, target=server.url.partition("//")[2].strip("/")))
    with watching(config) as watch:
        watch.until(lambda: server.asked >= 5)
        assert watch.terminate()[0] == 0
    return folder / "store.db"


@pytest.fixture
def told(tmp_path_factory, serve) -> Told:
    known = tmp_path_factory.getbasetemp() / "history-told"
    if not known.exists():  # one watch for all tests of this module; its server is of one test
        folder = tmp_path_factory.mktemp("history")
        executable = harness.build("profiles", Variant("1.23"))
        with harness.running(executable, "standing-rising", folder=folder) as program:
            taken = Taken(folder, executable, program.truth)
        store = fill(
            folder, taken, serve(recorded(taken), waited(taken, tmp_path_factory.mktemp("waited")).read_bytes())
        )
        asked = ("history", "shop", "--store", str(store), "--since", "10m", "--at", str(int(time.time()) + 1))
        mapscope(*asked, "-o", str(folder / "history.html"))
        (folder / "history.json").write_text(mapscope(*asked, "-f", "json"))
        known.write_text(str(folder))
    folder = Path(known.read_text())
    return Told(folder / "history.html", json.loads((folder / "history.json").read_text()))


def test_indicators_over_time(told, visit):
    page = visit(told.page)
    (instance,) = told.document["instances"]
    assert page.locator("h1").inner_text() == "shop"
    assert f"{instance['profiles']}" in page.locator(f'[data-instance="{instance["instance"]}"]').inner_text()
    assert instance["profiles"] >= 3
    drawn = {one.get_attribute("data-choice") for one in page.locator("#indicators [data-choice]").all()}
    assert drawn == {one["id"] for one in instance["indicators"]}
    for series in instance["indicators"]:
        page.locator(f'#indicators [data-choice="{series["id"]}"]').click()
        page.locator("#indicator summary").click()
        shown = page.eval_on_selector_all(
            "#indicator tbody td [data-value]", "all => all.map(one => Number(one.dataset.value))"
        )
        assert shown == pytest.approx(series["values"])
    assert {"P1", "heap_inuse_bytes"} <= drawn


def test_places_over_time(told, visit):
    page = visit(told.page)
    places = told.document["places"]
    assert page.locator("#place [data-line]").count() == len(places) > 1
    rising = next(at for at, one in enumerate(places) if one["function"] == "main.fillMore")
    page.locator("#place .k-canvas").focus()
    page.keyboard.press("End")
    reading = page.locator(f'#place li:has([data-line="{rising}"]) .k-reading')
    expect(reading).to_have_text(human_bytes(places[rising]["inuse_bytes"][-1]))
    page.locator("#place summary").click()
    assert numbers(page, f"#place tbody td:nth-child({rising + 2}) [data-value]") == places[rising]["inuse_bytes"]


def test_findings_from_beginning_to_end(told, visit):
    page = visit(told.page)
    findings = told.document["findings"]
    rows = page.locator("#lasting tr.k-row")
    assert rows.count() == len(findings) > 0
    text = page.locator("#lasting tbody").inner_text()
    for one in findings:
        assert one["function"] in text
    for state, ended in (("lasts", False), ("ended", True)):
        count = sum((one["ended_nanos"] is not None) == ended for one in findings)
        if count:
            page.locator('#lasting [data-filter="state"]').select_option(state)
            expect(rows).to_have_count(count)
    page.locator('#lasting [data-filter="state"]').select_option("")
    looks.walks_the_table(page, "#lasting")
    assert page.locator("#kept tr.k-row").count() == min(50, len(told.document["profiles"]))
    looks.walks_the_table(page, "#kept")


def test_the_ways_to_look_at_it(told, visit, axe, tmp_path):
    looks.nothing_runs(visit, told.page, tmp_path)
    looks.links_lead(visit(told.page))
    looks.prints(visit, told.page)
    looks.fits_a_narrow_window(visit, told.page)
    looks.axe_is_content(visit, told.page, axe)


def test_a_large_fleet_is_thinned_and_says_so():
    times = list(range(0, 2_000 * 10**9, 10**9))
    series = IndicatorSeries(
        id="P1", title="map bytes in use", unit="bytes", time_nanos=times, values=[float(one) for one in times],
        low=[], high=[],
    )  # fmt: skip
    instances = [
        InstanceHistory(
            instance=f"10.0.0.1:{port}", profiles=2000, first_nanos=0, last_nanos=times[-1], indicators=[series]
        )
        for port in range(1200)
    ]
    document = HistoryDocument(
        schema=1, tool=tool(), service="large", store="x.db", since_nanos=0, until_nanos=times[-1], instances=instances,
        places=[], findings=[], profiles=[], notes=[], next=[],
    )  # fmt: skip
    pack = Opened(history_pack(document).to_bytes())
    ends = pack.column("indicators", "end")
    assert (len(ends), pack.values["series_rest"], pack.values["thinned"]) == (1000, 200, True)
    assert ends[0] >= LEAST_POINTS
    assert ends[-1] <= MOST_POINTS
    seconds = pack.column("values", "seconds")
    assert (seconds[0], seconds[ends[0] - 1]) == (0, 1999)
    assert pack.column("values", "value")[: ends[0]] == [one * 1e9 for one in seconds[: ends[0]]]
