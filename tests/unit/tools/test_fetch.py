"""Fetching from sites that misbehave: every limit holds, and every failure says whether another try is worth it."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from email.utils import formatdate

import pytest
from aiohttp import web

from sindbad.tools.bodies import retry_after
from sindbad.tools.fetch import FetchLimits, PageFetcher, Response
from sindbad.tools.provider import ProviderError
from tests.unit.tools.loopback import Site, raw_site, site

PAGE = b"<p>" + b"The harbour and its many ships. " * 200 + b"</p>"


def fetcher(server: Site, **limits: float) -> PageFetcher:
    return PageFetcher({"*": f"127.0.0.1:{server.port}"}, limits=FetchLimits(**limits))  # type: ignore[arg-type]


async def get(server: Site, url: str = "http://open.example/x", **limits: float) -> Response:
    pages = fetcher(server, **limits)
    try:
        return await asyncio.wait_for(pages.get(url), 20)
    finally:
        await pages.close()


async def failing(server: Site, **limits: float) -> ProviderError:
    with pytest.raises(ProviderError) as failure:
        await get(server, **limits)
    return failure.value


def reply(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def deflated(data: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (PAGE, "identity"),
        (gzip.compress(PAGE), "gzip"),
        (gzip.compress(PAGE[:3000]) + gzip.compress(PAGE[3000:]), "x-gzip"),
        (gzip.compress(PAGE) + b"\0" * 100, "gzip"),
        (deflated(PAGE, zlib.MAX_WBITS), "deflate"),
        (deflated(PAGE, -zlib.MAX_WBITS), "deflate"),
    ],
)
async def test_bodies_are_decompressed_as_sites_really_compress_them(body: bytes, encoding: str) -> None:
    async with raw_site(reply(body, "Content-Type: text/html", f"Content-Encoding: {encoding}")) as server:
        assert (await get(server)).body == PAGE


@pytest.mark.parametrize(
    ("body", "encoding", "words", "retryable"),
    [
        (gzip.compress(PAGE)[:-20], "gzip", "broken page", True),
        (b"this is no gzip", "gzip", "broken page", True),
        (PAGE, "br", "encoding", False),
        (PAGE, "gzip, gzip", "encoding", False),
        (gzip.compress(b"a" * 30_000_000), "gzip", "inflates too far", False),
    ],
)
async def test_bodies_that_lie_about_themselves_are_refused(
    body: bytes, encoding: str, words: str, retryable: bool
) -> None:
    async with raw_site(reply(body, "Content-Type: text/html", f"Content-Encoding: {encoding}")) as server:
        failure = await failing(server)
    assert words in str(failure)
    assert failure.retryable is retryable


async def test_a_page_that_ends_before_its_length_is_worth_another_try() -> None:
    async with raw_site(reply(PAGE, "Content-Type: text/html", length=len(PAGE) + 5)) as server:
        assert (await failing(server)).retryable


async def test_a_connection_that_is_reset_is_worth_another_try() -> None:
    async with raw_site(b"HTTP/1.1 200 OK\r\nContent-Le", reset=True) as server:
        assert (await failing(server)).retryable


@pytest.mark.parametrize(
    "hanging",
    [b"", b"HTTP/1.1 200 OK\r\n", reply(b"", "Content-Type: text/html", length=100) + b"half"],
    ids=["before the status", "in the headers", "in the body"],
)
async def test_a_site_that_falls_silent_costs_no_more_than_the_time_allowed(hanging: bytes) -> None:
    async with raw_site(hanging, hang=True) as server:
        failure = await failing(server, total_seconds=0.3)
    assert str(failure) == "the site took too long, try again"
    assert failure.retryable


async def test_a_body_that_drips_is_stopped_although_it_never_falls_silent() -> None:
    async with raw_site(reply(b"", "Content-Type: text/html", length=5000), b"a" * 5000, drip=0.02) as server:
        failure = await failing(server, total_seconds=0.5, idle_seconds=0.4)
    assert failure.retryable


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-Large: {'a' * 20_000}"],
        [f"X-{number}: a" for number in range(500)],
        ["Bad Header"],
    ],
    ids=["one large", "very many", "broken"],
)
async def test_headers_are_bounded_and_must_be_headers(headers: list[str]) -> None:
    async with raw_site(reply(PAGE, "Content-Type: text/html", *headers)) as server:
        assert not (await failing(server)).retryable


@pytest.mark.parametrize("kind", ["image/png", "video/mp4", "application/zip", "font/woff2", "audio/mpeg"])
async def test_what_is_declared_to_be_no_text_is_not_received(kind: str) -> None:
    async with raw_site(reply(b"", f"Content-Type: {kind}", length=10_000_000), hang=True) as server:
        failure = await failing(server, total_seconds=5)
    assert kind in str(failure)
    assert not failure.retryable


async def test_half_a_pdf_is_no_pdf() -> None:
    async with raw_site(reply(b"%PDF-1.7" + b"a" * 5000, "Content-Type: application/pdf")) as server:
        assert "too large" in str(await failing(server, max_pdf_bytes=2000))


@pytest.mark.parametrize(
    ("status", "headers", "retryable", "wait"),
    [
        (404, {}, False, 0),
        (410, {}, False, 0),
        (403, {}, False, 0),
        (451, {}, False, 0),
        (408, {}, True, 0),
        (429, {"Retry-After": "7"}, True, 7),
        (429, {"Retry-After": "soon"}, True, 0),
        (503, {"Retry-After": "-3"}, True, 0),
        (500, {}, True, 0),
        (599, {}, True, 0),
    ],
)
async def test_a_status_says_whether_and_when_to_try_again(
    status: int, headers: dict[str, str], retryable: bool, wait: float
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    async with site(handler) as server:
        failure = await failing(server)
    assert (failure.retryable, failure.retry_after) == (retryable, wait)


def test_retry_after_is_seconds_or_a_date_and_never_absurd() -> None:
    now = time.time()
    assert retry_after({"Retry-After": formatdate(now + 30, usegmt=True)}, now) == pytest.approx(30, abs=1.5)
    assert retry_after({"Retry-After": formatdate(now - 30, usegmt=True)}, now) == 0
    for absurd in ("nan", "inf", "1e300", "Mon, 99 Jan 0000 00:00:00 GMT", "-1", "", "\ud800"):
        assert 0 <= retry_after({"Retry-After": absurd}, now) <= 86_400


async def test_redirects_are_followed_and_the_last_url_is_the_page() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/x":
            raise web.HTTPMovedPermanently("../y?z=1#part")
        return web.Response(text="<p>here</p>", content_type="text/html")

    async with site(handler) as server:
        page = await get(server)
    assert page.url == "http://open.example/y?z=1#part"
    assert [headers["Host"] for headers in server.headers] == ["open.example"] * 2


@pytest.mark.parametrize("location", ["http://[", "http://user:x@a/", "", "\x00", "ht!tp://x", "http://" + "a" * 6000])
async def test_a_redirect_to_nonsense_is_an_error_and_not_a_crash(location: str) -> None:
    async with raw_site(reply(b"", f"Location: {location}", "Connection: close", status="302 Found")) as server:
        assert not (await failing(server)).retryable
    assert len(server.asked) == 1


async def test_no_cookie_of_one_page_reaches_the_next() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text="<p>x</p>", content_type="text/html", headers={"Set-Cookie": "a=b"})

    async with site(handler) as server:
        pages = fetcher(server)
        for _ in range(2):
            await pages.get("http://open.example/x")
        await pages.close()
    assert all("Cookie" not in headers for headers in server.headers)


async def test_a_cancelled_fetch_leaves_nothing_behind() -> None:
    async with raw_site(reply(b"", "Content-Type: text/html", length=100), hang=True) as server:
        pages = fetcher(server)
        task = asyncio.create_task(pages.get("http://open.example/x"))
        for _ in range(500):
            if server.asked:
                break
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await pages.close()
