"""A TCP proxy that breaks connections at the moment a test chooses.

It knows no protocol: moments are told by bytes that a client sends, such as `COMMIT`.
Two threads serve a connection, one for each direction.
"""

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.services.process import free_port

COMMIT = b"COMMIT\0"  # as PostgreSQL's clients end a transaction, by itself or in a pipeline
_CHUNK = 1 << 16
_LOOK_EVERY_S = 0.1


@dataclass
class _Moment:  # the next so many times that a client sends a word
    word: bytes
    times: int
    forwarded: bool


@dataclass
class _Connection:
    client: socket.socket
    server: socket.socket
    silenced: bool = False  # the server finishes what it was sent; nobody hears the answer

    def cut(self) -> None:
        """Wake both threads; to close a socket that another thread reads wakes nobody."""
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Stands before a server: a (host, port), the path of a Unix socket, or a URL."""

    def __init__(self, server: tuple[str, int] | Path | str) -> None:
        if isinstance(server, str):
            server = (urlsplit(server).hostname or "", urlsplit(server).port or 5432)
        self._family = socket.AF_UNIX if isinstance(server, Path) else socket.AF_INET
        self._server = str(server) if isinstance(server, Path) else server
        self._connections: list[_Connection] = []
        self._lock = threading.Lock()  # over the moment: it comes as often as was said
        self._moment = _Moment(b"", 0, forwarded=True)
        self._flowing = threading.Event()
        self._flowing.set()
        self._listener: socket.socket | None = None
        self.port = free_port()
        self.delay_s = 0.0  # before each piece of data is passed on, in either direction
        self.cuts = 0  # how often a moment came
        self.accept()

    def close(self) -> None:
        """Take no more connections, and cut those that stand."""
        self.refuse()
        self.thaw()
        self.cut()

    def url(self, url: str) -> str:
        """The same URL, by way of the proxy."""
        user, at, _ = urlsplit(url).netloc.rpartition("@")
        return urlsplit(url)._replace(netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()

    def accept(self) -> None:
        """Take connections, always at the same port; so it is from the start."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(_LOOK_EVERY_S)
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Let new connections be refused; those that stand are left alone."""
        listener, self._listener = self._listener, None
        if listener:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def cut(self) -> int:
        """Cut all connections now; how many there were."""
        return len([connection.cut() for connection in list(self._connections)])

    def cut_before(self, word: bytes = COMMIT, times: int = 1) -> None:
        """Cut a connection when its client sends a word, and keep that from the server."""
        self._moment = _Moment(word, times, forwarded=False)

    def cut_after(self, word: bytes = COMMIT, times: int = 1) -> None:
        """Have the server carry out what it was sent up to a word, and cut before it is heard."""
        self._moment = _Moment(word, times, forwarded=True)

    def freeze(self) -> None:
        """Pass nothing on, while connections stay open and new ones are taken."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what waited, and what comes."""
        self._flowing.set()

    def _serve(self, listener: socket.socket) -> None:
        while self._listener is listener:
            with suppress(OSError):  # a time-out, to look whether connections are still wanted
                client = listener.accept()[0]
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        """One connection, from its opening until both sides are closed."""
        with client, socket.socket(self._family) as server, suppress(OSError):
            server.connect(self._server)
            connection = _Connection(client, server)
            self._connections.append(connection)
            up = threading.Thread(target=self._up, args=(connection,), daemon=True)
            up.start()
            self._down(connection)
            up.join()
            self._connections.remove(connection)

    def _up(self, connection: _Connection) -> None:
        """From the client to the server, with an eye on the moment."""
        last = b""
        with suppress(OSError):
            while chunk := connection.client.recv(_CHUNK):
                self._wait()
                moment = self._comes(last, chunk)
                if moment and not moment.forwarded:
                    break
                connection.silenced = moment is not None
                connection.server.sendall(chunk)
                if moment:  # what was sent is carried out, then the server hears the end
                    connection.server.shutdown(socket.SHUT_WR)
                    return
                last = chunk
        connection.cut()

    def _comes(self, last: bytes, chunk: bytes) -> _Moment | None:
        with self._lock:
            moment = self._moment
            begun = last[1 - len(moment.word) :]  # less than the word: that was heard before
            if not moment.times or moment.word not in begun + chunk:
                return None
            moment.times -= 1
            self.cuts += 1
            return moment

    def _down(self, connection: _Connection) -> None:
        """From the server to the client, until either of them ends."""
        with suppress(OSError):
            while chunk := connection.server.recv(_CHUNK):
                self._wait()
                if not connection.silenced:
                    connection.client.sendall(chunk)
        connection.cut()

    def _wait(self) -> None:
        time.sleep(self.delay_s)
        self._flowing.wait()
