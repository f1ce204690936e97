"""A process that extracts one page after the other: ``python -m sindbad.tools.extraction_worker SECONDS BYTES``.

It reads frames from standard input and answers on standard output; it opens no file and no socket. Its own limits
(address space, no core dumps, an alarm a page) hold even where its parent is gone.

A frame is a 4-byte big-endian length and as many bytes. A request is two frames: the Content-Type header, the body.
The answer is one frame of JSON: ``{"title", "text", "language", "translations"}`` or ``{"unreadable": why}``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import signal
import struct
import sys
from typing import Any, BinaryIO, Final

from sindbad.retrieval.extraction import PageUnreadable, extract

MAX_FRAME: Final = 80_000_000


def frame(data: bytes) -> bytes:
    """``data`` with its length before it."""
    return struct.pack(">I", len(data)) + data


def main() -> None:
    """Answer until standard input ends."""
    seconds, size = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # dies in the middle of whatever C code it hangs in
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not break our frames
    while (kind := _read(sys.stdin.buffer)) is not None and (body := _read(sys.stdin.buffer)) is not None:
        signal.alarm(seconds)
        answer = json.dumps(_answer(body, kind.decode("utf-8", "replace"))).encode("ascii")
        signal.alarm(0)
        answers.write(frame(answer))
        answers.flush()


def _answer(body: bytes, content_type: str) -> dict[str, Any]:
    try:
        page = extract(body, content_type)
    except PageUnreadable as error:
        return {"unreadable": str(error)}
    except MemoryError:
        return {"unreadable": "the page needs too much memory to be read"}
    return dataclasses.asdict(page)


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    return stream.read(length) if length <= MAX_FRAME else None


if __name__ == "__main__":
    main()
