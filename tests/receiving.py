"""A receiver of webhooks, such as somebody else would write, which answers as it is told to."""

import hashlib
import hmac
import json
import ssl
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.announcement import Announcement, TouchpointId, announcement_id, encode
from tests.shop import SMALL
from tests.storing import NOW

SECRET = "a secret that nobody can ever guess"
CUT, SLEEP, DRIP = "cut", "sleep", "drip"  # answers that are none, or never end


@dataclass
class Receiver:
    """Listens on a port; what it took, by arrival, and what it will answer next."""

    server: ThreadingHTTPServer
    answers: deque[Any] = field(default_factory=deque)  # a status, CUT, SLEEP or DRIP; then 200
    heard: list[dict[str, Any]] = field(default_factory=list)  # whatever came, answered how ever
    problems: list[str] = field(default_factory=list)
    resting: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook?of=ours"

    def speak_tls(self, certificate: Path) -> str:
        """From now on it does, and proves itself by this; its URL."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        return self.url.replace("http://127.0.0.1", "https://localhost")

    @property
    def numbers(self) -> list[int]:
        return [one["number"] for one in self.heard]

    def close(self) -> None:
        self.resting.set()
        self.server.shutdown()
        self.server.server_close()


def receiver(port: int = 0, idle_s: float | None = None) -> Receiver:
    """One that answers 200 until it is told otherwise; a line stands idle for `idle_s` at most."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = idle_s

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.heard.append(json.loads(body))
            if problem := refused(dict(self.headers), body, SECRET):
                made.problems.append(problem)
            if self.path != "/hook?of=ours":
                made.problems.append(self.path)
            answer = made.answers.popleft() if made.answers else 200
            if answer == SLEEP:
                made.resting.wait(20)
            if answer == DRIP:
                while not made.resting.wait(0.05):
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if answer in (CUT, SLEEP, DRIP):
                self.close_connection = True
                return
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    made = Receiver(ThreadingHTTPServer(("127.0.0.1", port), Handler))
    threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True).start()
    return made


def self_signed(folder: Path) -> Path:
    """A certificate of this machine that nobody else has signed, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    path = folder / "certificate.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(pem, form, plain) + made.public_bytes(pem))
    return path


def refused(headers: dict[str, str], body: bytes, secret: str, now: float | None = None) -> str:
    """Why a delivery is not believed; empty where it is."""
    parts = dict(part.split("=") for part in headers["Leadledger-Signature"].split(","))
    made = hmac.new(secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(made, parts["v1"]):
        return "signed by somebody else, or changed on the way"
    if now is not None and abs(now - int(parts["t"])) > 300:
        return "sent too long ago"
    if json.loads(body)["id"] != headers["Leadledger-Id"]:
        return "another id in its headers"
    return ""


def announcement(number: int, lead: str = "a" * 32) -> Announcement:
    """Something that might be told."""
    first = TouchpointId("web", f"e-{number}")
    key = "stage_entered", "life.mql", NOW + number
    return Announcement(
        id=announcement_id(first, key, number, None),
        number=number,
        kind=key[0],
        name=key[1],
        at=key[2],
        lead=lead,
        first=first,
        position=number,
        settled_to=NOW,
        rules=SMALL.id,
        announced_at=NOW,
    )


def messages(*numbers: int) -> list[tuple[Announcement, bytes]]:
    """Some of them as a sink gets them."""
    return [(one, encode(one)) for one in map(announcement, numbers)]
