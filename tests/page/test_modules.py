"""The page's modules that know no page: their functions, run in the browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Page
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from benchmarks.process import ServerProcess
from service.metrics import one_page
from service.wires.document import Document
from service.wires.json_sequences import JsonSequences
from service.wires.validation import admit
from tests.page.visit import visiting
from tests.service.fakes import EVENTS, LIMITS, manifest

X2 = manifest("vectors", width=2).model_dump(mode="json")
IDS = manifest("ids", ids=(1, 9)).model_dump(mode="json")
MANY = EVENTS.model_dump(mode="json")


@pytest.fixture(scope="module")
def page(browser: Browser, server: ServerProcess) -> Iterator[Page]:
    with visiting(browser, server.url) as visit:
        yield visit.page


def call(page: Page, module: str, function: str, *arguments: Any) -> Any:
    """What a function of a module returns."""
    run = f"async (given) => (await import('/page/{module}.js')).{function}(...given)"
    return page.evaluate(run, list(arguments))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n", [["a", "b"], ["1", "2"]]),
        ("a;b\r\n1;2", [["a", "b"], ["1", "2"]]),
        ("a\tb\n1\t\n", [["a", "b"], ["1", ""]]),
        ('\ufeff"a ""b""","c\nd"\n', [['a "b"', "c\nd"]]),
        ("a\n\n1\n", [["a"], None, ["1"]]),
        ("", []),
    ],
)
def test_csv_is_read_as_the_rfc_has_it(page: Page, text: str, rows: Any) -> None:
    assert call(page, "csv", "parse", text) == rows


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x[0],x[1]\n1,2\n\n3,4\n", [[[1, 2]], [[3, 4]]]),
        ("x_1,x_0\n1,2\n", [[[2, 1]]]),
        ("column,row\n1,2\n", [[[1, 2]]]),
        ("sequence,a,b\nq,1,2\nr,3,4\nq,5,\n", [[[1, 2], [5, None]], [[3, 4]]]),
    ],
)
def test_lines_of_csv_become_the_sequences_of_a_model(page: Page, text: str, wanted: Any) -> None:
    assert call(page, "csv", "sequences", text, X2) == wanted


def test_csv_of_several_columns_has_words_missing_values_and_context(page: Page) -> None:
    text = (
        "amount,kind,code,time,where[0],where[1],age,land,home[0],home[1]\n"
        ",buy,-1,0.5,1,2,30,ch,5,6\n7,other,1,2,3,4,31,pt,7,8\n"
    )
    (found,) = call(page, "csv", "sequences", text, MANY)
    assert found == {
        "amount": [None, 7],
        "kind": ["buy", "other"],
        "code": [-1, 1],
        "time": [0.5, 2],
        "where": [[1, 2], [3, 4]],
        "age": 30,
        "land": "ch",
        "home": [5, 6],
    }


def test_a_word_of_a_csv_file_is_a_word_even_if_it_looks_like_a_number(page: Page) -> None:
    for word in ("Infinity", "1e999", str(2**60)):
        text = f"kind,code,time,where[0],where[1],amount,age,land,home[0],home[1]\n{word}"
        (found,) = call(page, "csv", "sequences", f"{text},1,0,1,2,3,30,ch,5,6\n", MANY)
        assert found["kind"] == [word]


@pytest.mark.parametrize("amount", ["Infinity", "-1e400"])
def test_an_infinite_number_does_not_become_a_missing_one(page: Page, amount: str) -> None:
    text = f"kind,code,time,where[0],where[1],amount,age,land,home[0],home[1]\nbuy,1,0,1,2,{amount}"
    with pytest.raises(Error, match=f"line 2, column amount: '{amount}' is not finite"):
        call(page, "csv", "sequences", f"{text},30,ch,5,6\n", MANY)


def test_a_quote_that_is_not_closed_is_named(page: Page) -> None:
    with pytest.raises(Error, match="record 2: a quote is not closed"):
        call(page, "csv", "parse", 'a\n"b\n')


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i8", "|u1", ">i2", "<u4", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_files_of_all_numbers_are_read(page: Page, dtype: str, order: Any) -> None:
    array = np.arange(12).reshape(2, 3, 2).astype(dtype, order=order)
    body = io.BytesIO()
    np.save(body, array)
    encoded = base64.b64encode(body.getvalue()).decode()
    found = page.evaluate(
        """async ([text, model]) => {
          const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
          return (await import('/page/npy.js')).sequences(bytes.buffer, model);
        }""",
        [encoded, X2],
    )
    assert found == array.astype(float).tolist()


@pytest.mark.parametrize("model", [X2, IDS, MANY], ids=["vectors", "ids", "events"])
def test_the_example_of_a_model_passes_the_server_s_validator(page: Page, model: Any) -> None:
    text = page.evaluate(
        """async (model) => {
          const { example } = await import('/page/signature.js');
          return (await import('/page/snippets.js')).json({ sequences: example(model) });
        }""",
        model,
    )
    own = {"vectors": manifest("vectors", width=2), "ids": manifest("ids", ids=(1, 9))}
    chosen = own.get(model["name"], EVENTS)
    draft = JsonSequences(Document(text.encode(), LIMITS.json_depth), chosen, LIMITS)
    assert admit(draft, chosen, LIMITS).lengths.tolist() == [3, 2]


def scraped(requests: int, waits: list[float], label: str = "m") -> str:
    registry = CollectorRegistry()
    counter = Counter("requests", "", ["model"], registry=registry)
    counter.labels(label).inc(requests)
    Gauge("queued", "", registry=registry).set(requests)
    histogram = Histogram("wait", "", buckets=(1, 2, 4), registry=registry)
    for wait in waits:
        histogram.observe(wait)
    return generate_latest(registry).decode()


COMPARE = """async ([before, after, name, q]) => {
  const m = await import('/page/metrics.js');
  const [a, b] = [m.parse(before), m.parse(after)];
  return [m.gained(a, b, "requests_total"), m.total(b, "queued"), m.mean(a, b, "wait"),
    m.quantile(a, b, "wait", q)];
}"""


def test_metrics_of_two_workers_are_added_up(page: Page) -> None:
    before = one_page({0: scraped(5, []), 1: scraped(7, [])})
    after = one_page({0: scraped(8, [0.5, 1.5]), 1: scraped(9, [1.5, 3])})
    gained, queued, mean, median = page.evaluate(COMPARE, [before, after, "wait", 0.5])
    assert (gained, queued) == (5, 17)
    assert mean == pytest.approx(6.5 / 4)
    assert median == pytest.approx(1.5)


def test_a_counter_that_began_anew_has_gained_what_it_says(page: Page) -> None:
    found = page.evaluate(COMPARE, [scraped(50, [1]), scraped(3, []), "wait", 0.5])
    assert found[0] == 3
    assert found[3] is None


GAINS = """async ([name, ...texts]) => {
  const m = await import('/page/metrics.js');
  const pages = [];
  for (const text of texts) pages.push(m.carried(pages.at(-1), m.parse(text)));
  return [pages.slice(1).map((page, i) => m.gained(pages[i], page, name)),
    pages.map((page) => m.total(page, "queued"))];
}"""


@pytest.mark.parametrize("gone", [{1: None}, {}], ids=["down", "missing"])
@pytest.mark.parametrize(("back", "gain"), [(1003, 3), (4, 4)], ids=["again", "anew"])
def test_a_worker_that_missed_a_page_gains_what_it_counted_since_or_since_it_began_anew(
    page: Page, gone: dict[int, str | None], back: int, gain: int
) -> None:
    pages: list[dict[int, str | None]]
    pages = [{0: scraped(5, []), 1: scraped(1000, [])}, {0: scraped(7, []), **gone}]
    pages += [{0: scraped(8, []), 1: scraped(back, [])}]
    gained, queued = page.evaluate(GAINS, ["requests_total", *(one_page(own) for own in pages)])
    assert gained == [2, 1 + gain]
    assert queued == [1005, 7, 8 + back]


def test_a_worker_that_was_on_no_page_yet_has_gained_nothing(page: Page) -> None:
    pages: list[dict[int, str | None]]
    pages = [{0: scraped(5, []), 1: None}, {0: scraped(6, []), 1: scraped(1000, [])}]
    gained, _ = page.evaluate(GAINS, ["requests_total", *(one_page(own) for own in pages)])
    assert gained == [1]


def test_a_quantile_above_all_bounds_is_the_last_bound(page: Page) -> None:
    found = page.evaluate(COMPARE, [scraped(0, []), scraped(0, [100, 200]), "wait", 0.99])
    assert found[3] == 4


def test_labels_are_read_with_their_escapes(page: Page) -> None:
    text = scraped(1, [], 'a"b\\c\n, d="e"} 7')
    labels = page.evaluate(
        """async (text) => {
          const page = (await import('/page/metrics.js')).parse(text);
          return [...page.get("requests_total").values()].map(({ labels }) => labels.model);
        }""",
        text,
    )
    assert labels == ['a"b\\c\n, d="e"} 7']


@pytest.mark.parametrize(("value", "above"), [(0, 1), (0.3, 0.5), (1, 1), (7, 10), (1200, 2000)])
def test_the_scale_of_a_chart_ends_at_a_round_number(
    page: Page, value: float, above: float
) -> None:
    assert call(page, "charts", "niceAbove", value) == pytest.approx(above)
