"""A bucket behind a server on this machine that speaks S3."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from sindbad.corpus.store import JobStore


@contextmanager
def object_store() -> Iterator[JobStore]:
    """The folder ``job`` of the bucket ``corpora``; the server runs as long as the block does."""
    from moto.server import ThreadedMotoServer

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    options = {"key": "test", "secret": "test", "client_kwargs": {"endpoint_url": f"http://127.0.0.1:{port}",
                                                                 "region_name": "us-east-1"}}  # fmt: skip
    store = JobStore("s3://corpora/job", options)
    store.fs.call_s3("create_bucket", Bucket="corpora")
    try:
        yield store
    finally:
        server.stop()
