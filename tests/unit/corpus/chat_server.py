"""An OpenAI-compatible server on a thread of its own: it translates by a table, judges by a function, and remembers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JUDGING = "You are a strict bilingual judge."
TRANSLATING = "Translate from English to Arabic: "


class ChatServer:
    """``answer`` gives the words for a prompt; None: a reply without text. ``answered``: prompts, in order."""

    def __init__(self, answer: Callable[[str], str | None]) -> None:
        self.answer = answer
        self.answered: list[str] = []
        self.begun: list[str] = []
        self.most: int | None = None
        """Beyond so many answers every request hangs, as a server does that is about to be lost."""
        self.stuck = threading.Event()
        self.over = threading.Event()
        self._lock = threading.Lock()
        self.url = ""

    def judged(self) -> list[str]:
        """The prompts of the judge that were answered."""
        return [prompt for prompt in self.answered if prompt.startswith(JUDGING)]

    def reply(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """A whole reply; None: there will be none."""
        prompt = body["messages"][-1]["content"]
        with self._lock:
            self.begun.append(prompt)
            full = self.most is not None and len(self.answered) >= self.most
            if not full:
                self.answered.append(prompt)
        if full:
            self.stuck.set()
            self.over.wait(60)
            return None
        message = {"role": "assistant", "content": self.answer(prompt)}
        return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}}


@contextmanager
def serving(server: ChatServer) -> Iterator[ChatServer]:
    """Serve on the loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            reply = server.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if reply is None:
                self.close_connection = True
                return
            data = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield server
    finally:
        server.over.set()
        http.shutdown()
        http.server_close()
        thread.join()
