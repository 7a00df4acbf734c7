"""Files of every kind are sent as what they are, and answers shown as tables."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.process import ServerProcess
from tests.page.visit import SIZES, visiting

BEYOND = 2**53 + 1  # the first whole number that the browser's cannot be
VECTORS = np.random.default_rng(3).random((2, 5, 4)).astype(np.float32)
DROPPED = """async ([name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer });
    document.getElementById("drop").dispatchEvent(event);
  }
}"""


def choose(page: Page, model: str) -> None:
    page.get_by_label("Model", exact=True).select_option(model)
    expect(page.get_by_role("button", name=f"Ask {model}")).to_have_attribute(
        "aria-pressed", "true"
    )


def send(page: Page, name: str, body: bytes) -> None:
    """Choose a file with the button."""
    page.locator("#file").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": body}
    )


def shown(page: Page) -> list[list[str]]:
    """The rows of the only table of the answer."""
    rows = page.locator("#answer tbody tr")
    expect(rows.first).to_be_visible()
    return [row.split("\t") for row in rows.all_inner_texts()]


def arrow(sequences: Any) -> bytes:
    kind = pa.list_(pa.list_(pa.float32(), 4))
    table = pa.table({"x": pa.array(sequences, kind)})
    body = io.BytesIO()
    with pa.ipc.new_stream(body, table.schema) as stream:
        stream.write_table(table)
    return body.getvalue()


def npy(array: Any) -> bytes:
    body = io.BytesIO()
    np.save(body, array)
    return body.getvalue()


@pytest.mark.parametrize("size", SIZES)
def test_a_csv_file_that_is_dropped_is_answered_as_a_table(
    browser: Browser, server: ServerProcess, size: str
) -> None:
    text = "sequence,digits\na,1\na,2\nb,9\na,3\n"
    with visiting(browser, server.url, size) as visit:
        choose(visit.page, "digit_sum/1")
        visit.page.evaluate(DROPPED, ["sums.csv", text])
        expect(visit.page.locator("#asked")).to_contain_text("sums.csv: 2 sequences, 4 tokens")
        rows = shown(visit.page)
        assert [row[0] for row in rows] == ["0", "1"]
        assert [float(row[1]) for row in rows] == pytest.approx([6, 9], abs=0.01)


@pytest.mark.parametrize("kind", ["csv", "npy", "json", "arrows"])
def test_a_file_of_any_kind_gets_the_server_s_answer(
    browser: Browser, server: ServerProcess, kind: str
) -> None:
    lines = ["x[0],x[1],x[2],x[3]", *(",".join(map(str, row)) for row in VECTORS[0].tolist())]
    more = ["", *(",".join(map(str, row)) for row in VECTORS[1].tolist())]
    bodies = {
        "csv": "\r\n".join([*lines, *more]).encode(),
        "npy": npy(np.asfortranarray(VECTORS.astype(">f8"))),
        "json": json.dumps({"sequences": VECTORS.tolist()}).encode(),
        "arrows": arrow(VECTORS.tolist()),
    }
    url = f"{server.url}/v1/models/polynomial/predict"
    wanted = httpx.post(url, json={"sequences": VECTORS.tolist()}).json()["outputs"]
    with visiting(browser, server.url) as visit:
        choose(visit.page, "polynomial/1")
        send(visit.page, f"tokens.{kind}", bodies[kind])
        expect(visit.page.locator("#asked")).to_contain_text("2 sequences, 10 tokens")
        rows = shown(visit.page)
        assert [row[0] for row in rows] == [f"{i}, {j}" for i in range(2) for j in range(5)]
        found = [float(cell) for row in rows for cell in row[1:]]
        assert found == pytest.approx(np.array(wanted).reshape(-1).tolist(), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("a.csv", b"digits\n1\ntwo\n", "line 3, column digits: 'two' is no number"),
        ("a.csv", b"a,b\n1,2\n", "there is no column digits; there are a, b"),
        ("a.csv", b"digits,other\n1\n", "line 2: 1 cells, there are 2 columns"),
        ("a.csv", b"digits\n1e999\n", "line 2, column digits: '1e999' is not finite"),
        ("a.csv", f"digits\n{BEYOND}\n".encode(), f"digits: '{BEYOND}' is beyond 2^53"),
        ("a.npy", npy(np.array([[1, 2], [3, BEYOND]])), f"[1][1]: {BEYOND} is beyond 2^53"),
        ("a.npy", npy(np.array([1.0, -np.inf])), "[1]: -Infinity is not finite"),
        ("a.npy", b"hello", "it does not begin as an NPY file does"),
        ("a.npy", npy(np.zeros((2, 2, 2))), "its shape is (2, 2, 2), (n,) or (batch, n)"),
        ("a.arrow", b"ARROW1\0\0", "an Arrow file, a stream is needed"),
        ("a.zip", b"PK", "neither .csv, .npy, .json nor .arrows"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_place(
    browser: Browser, server: ServerProcess, name: str, body: bytes, message: str
) -> None:
    with visiting(browser, server.url) as visit:
        choose(visit.page, "digit_sum/1")
        send(visit.page, name, body)
        expect(visit.page.locator("#asked")).to_contain_text(message)
        expect(visit.page.locator("#asked")).to_have_class("bad")


def test_what_the_server_refuses_is_shown_in_its_words(
    browser: Browser, server: ServerProcess
) -> None:
    with visiting(browser, server.url, forgiven=("/predict",)) as visit:
        choose(visit.page, "digit_sum/1")
        send(visit.page, "a.csv", b"digits\n1\n10\n")
        expect(visit.page.locator("#asked")).to_contain_text("digits[0][1]")
        expect(visit.page.locator("#answer table")).to_have_count(0)


def test_the_example_of_every_model_is_answered(browser: Browser, server: ServerProcess) -> None:
    with visiting(browser, server.url) as visit:
        models = visit.page.locator("#model option")
        expect(models.first).to_be_attached()
        names = models.all_inner_texts()
        assert len(names) == 3
        for name in names:
            choose(visit.page, name)
            visit.page.get_by_role("button", name="Ask with the example").click()
            expect(visit.page.locator("#asked")).to_contain_text("2 sequences, 5 tokens")
            assert shown(visit.page)
