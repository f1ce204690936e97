"""Extraction ends in time whatever a page does, and is the same in this process and in another."""

from __future__ import annotations

import asyncio
import os
import signal

import psutil
import pytest

from sindbad.retrieval.extraction import Extracted, PageUnreadable, extract
from sindbad.tools.extractor import INLINE_BYTES, Extractor, ExtractorLimits
from tests.unit.retrieval.documents import bomb, pdf

SENTENCE = "<p>The committee published a long report about the harbour and its many ships.</p>"
LINK = "<link rel=alternate hreflang=ar href=/ar>"
LARGE = f"<html lang=en><head><title>Harbour</title>{LINK}</head><body>{SENTENCE * 600}</body></html>".encode()


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if "sindbad.tools.extraction_worker" in child.cmdline()]


async def test_small_pages_are_read_here_and_start_no_process() -> None:
    extractor = Extractor()
    assert await extractor.extract(b"<p>caf\xc3\xa9</p>", "text/html") == Extracted("", "café")
    with pytest.raises(PageUnreadable):
        await extractor.extract(b"", "text/html")
    assert children() == []
    await extractor.close()


@pytest.mark.slow
async def test_large_pages_and_pdfs_are_read_elsewhere_with_the_same_result() -> None:
    assert len(LARGE) > INLINE_BYTES
    extractor = Extractor(ExtractorLimits(processes=2))
    document = pdf("Marota Lin was born in Tavel.", title="A life")
    kinds = [(LARGE, "text/html; charset=utf-8"), (document, "application/pdf"), (b"<div>" * 20_000, "text/html")] * 3
    found = await asyncio.gather(*(extractor.extract(*kind) for kind in kinds), return_exceptions=True)
    for (body, kind), result in zip(kinds[:2], found[:2], strict=True):
        assert result == extract(body, kind)
    assert isinstance(found[0], Extracted)
    assert found[0].translations == {"ar": "/ar"}
    assert found[:3] == found[3:6] == found[6:] or [str(one) for one in found[:3]] == [str(one) for one in found[6:]]
    assert isinstance(found[2], PageUnreadable)
    assert len(children()) == 2
    await extractor.close()
    await extractor.close()
    assert children() == []


@pytest.mark.slow
async def test_a_page_that_hangs_costs_its_process_and_nobody_else_anything() -> None:
    extractor = Extractor(ExtractorLimits(processes=1, seconds=1.0))
    assert (await extractor.extract(LARGE, "text/html")).title == "Harbour"
    (before,) = children()
    before.send_signal(signal.SIGSTOP)  # what a page that never ends looks like from here
    with pytest.raises(PageUnreadable, match="too long"):
        await extractor.extract(LARGE, "text/html")
    assert not before.is_running()
    assert (await extractor.extract(LARGE, "text/html")).title == "Harbour"
    await extractor.close()


@pytest.mark.slow
async def test_a_process_that_dies_or_is_left_alone_is_replaced() -> None:
    extractor = Extractor(ExtractorLimits(processes=1, seconds=30))
    await extractor.extract(LARGE, "text/html")
    os.kill(children()[0].pid, signal.SIGKILL)
    with pytest.raises(PageUnreadable):
        await extractor.extract(LARGE, "text/html")
    await extractor.extract(LARGE, "text/html")
    children()[0].send_signal(signal.SIGSTOP)
    task = asyncio.create_task(extractor.extract(LARGE, "text/html"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await extractor.extract(LARGE, "text/html")).title == "Harbour"
    with pytest.raises(PageUnreadable):
        await extractor.extract(bomb(60_000_000), "application/pdf")
    await extractor.close()
    assert children() == []
