"""An OpenAI-compatible server on a thread for tests: it answers by a function, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.unit.translation.documents import pseudo_arabic


class Endpoint:
    """``answer(user turn)`` is the reply, with ``status``."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer = answer
        self.bodies: list[dict[str, Any]] = []
        self.url, self.status = "", 200

    @property
    def asked(self) -> list[str]:
        """Last line of every user turn so far."""
        return [body["messages"][-1]["content"].splitlines()[-1] for body in self.bodies]


def translated(prompt: str) -> str:
    """Every word of what is to be translated in Arabic letters; no terms for the question about terms."""
    _, found, text = prompt.rpartition(" into Arabic:\n\n")
    if found:
        return pseudo_arabic(text)
    _, found, text = prompt.rpartition("Translate everything that follows into Arabic:\n\n")
    return pseudo_arabic(text) if found else "{}"


@contextmanager
def endpoint(answer: Callable[[str], str] = translated) -> Iterator[Endpoint]:
    """A server that runs as long as the block does; ``url`` is up to and including the version."""
    found = Endpoint(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.bodies.append(body)
            text = found.answer(body["messages"][-1]["content"])
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            data = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
            self.send_response(found.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
