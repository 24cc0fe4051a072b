"""A proxy that breaks connections on purpose.

It stands between a client under test and the server. `plan(kind, times)` says what happens to the next requests:

    drop_request   the connection ends before the server sees the request
    drop_reply     the server answers, the client never hears of it
    cut_reply      half of the answer arrives, then the connection ends
    late_reply     the answer comes only after the client has given up waiting
    refuse_503     the answer is 503 `overloaded` with Retry-After, the server sees nothing
    refuse_429     the same with 429 `quota_exceeded`

Everything else passes through byte for byte. One thread for each connection; it ends with its client.
"""

import json
import socket
import threading

HEAD_MAX = 64 * 1024


class Proxy:
    def __init__(self, target_port, hold_seconds):
        self.target = ("127.0.0.1", target_port)
        self.hold_seconds = hold_seconds
        self.seen = 0  # requests that have arrived, faults included
        self._plan = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def plan(self, kind, times=1):
        with self._lock:
            self._plan += [kind] * times

    def planned(self):
        """How many planned faults have not happened yet."""
        with self._lock:
            return len(self._plan)

    def stop(self):
        self._stopped.set()
        self._listener.close()

    def _next_fault(self):
        with self._lock:
            self.seen += 1
            return self._plan.pop(0) if self._plan else None

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = None
        try:
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while True:
                    request = read_message(client)
                    if request is None:
                        return
                    fault = self._next_fault()
                    if fault == "drop_request":
                        return
                    if fault in ("refuse_503", "refuse_429"):
                        client.sendall(refusal(fault))
                        continue
                    server = server or socket.create_connection(self.target)
                    server.sendall(request)
                    if not self._answer(client, server, fault, request.startswith(b"HEAD ")):
                        return
        except OSError:
            pass  # either side has gone: the other learns of it by the close
        finally:
            if server:
                server.close()

    def _answer(self, client, server, fault, head_only):
        """Pass one answer on; False when the connection is to end."""
        head, rest = read_head(server)
        if head is None:
            return False
        length = content_length(head)
        if length is None and not head_only and fault is None:
            client.sendall(head + rest)
            pump(server, client)
            return False
        body = b"" if head_only else rest + read_exactly(server, (length or 0) - len(rest))
        if fault == "late_reply":
            self._stopped.wait(self.hold_seconds)
        if fault in ("drop_reply", "late_reply"):
            return False
        if fault == "cut_reply":
            client.sendall(head + body[: len(body) // 2])
            return False
        client.sendall(head + body)
        return b"connection: close" not in head.lower()


def read_head(sock):
    """(head with its empty line, bytes after it), or (None, b'') when the peer has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece or len(data) > HEAD_MAX:
            return None, b""
        data += piece
    end = data.index(b"\r\n\r\n") + 4
    return data[:end], data[end:]


def content_length(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0 if head.split(b" ", 2)[1:2] in ([b"204"], [b"304"]) else None


def read_exactly(sock, count):
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(min(1 << 20, count - len(data)))
        if not piece:
            raise OSError("the peer closed early")
        data += piece
    return bytes(data)


def read_message(sock):
    head, rest = read_head(sock)
    if head is None:
        return None
    if b"expect: 100-continue" in head.lower():
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))
    return head + rest + read_exactly(sock, (content_length(head) or 0) - len(rest))


def pump(source, sink):
    while True:
        piece = source.recv(65536)
        if not piece:
            return
        sink.sendall(piece)


def refusal(fault):
    status, code = {"refuse_503": ("503 Service Unavailable", "overloaded"),
                    "refuse_429": ("429 Too Many Requests", "quota_exceeded")}[fault]
    body = json.dumps({"type": f"urn:descent:error:{code}", "title": "Try again", "status": int(status[:3]),
                       "code": code, "detail": "a fault made on purpose", "retryable": True}).encode()
    head = (f"HTTP/1.1 {status}\r\nContent-Type: application/problem+json\r\nRetry-After: 0\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    return head.encode() + body
