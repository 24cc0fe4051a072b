"""A client of Descent: optimizers, sessions, and updates as raw float32. Standard library and NumPy only."""

import http.client
import json
import urllib.parse

import numpy

ATTEMPTS = 3


class Refused(Exception):
    """The server said no: its sentence, and its code for programs."""

    def __init__(self, status, problem):
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status, self.code = status, problem.get("code")


class Descent:
    """One connection to a server; one thread at a time."""

    def __init__(self, url, key=None):
        self.address = urllib.parse.urlsplit(url)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=60)

    def ask(self, method, path, body=None, headers=()):
        """The reply's headers and bytes; Refused when its status is 400 or more."""
        self.connection.request(method, path, body, {**self.headers, **dict(headers)})
        reply = self.connection.getresponse()
        content = reply.read()
        if reply.status >= 400:
            raise Refused(reply.status, json.loads(content))
        return reply.headers, content

    def json(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        _, content = self.ask(method, path, text, {"Content-Type": "application/json"} if text else {})
        return json.loads(content) if content else None

    def optimizers(self):
        """The names of all optimizers that can be used, with their families."""
        return {one["name"]: one["family"] for one in self.json("GET", "/v1/optimizers?page_size=1000")["items"]
                if one["latest_version"]}

    def description(self, optimizer):
        return self.json("GET", f"/v1/optimizers/{optimizer}")["description"] or "(no description)"

    def session(self, optimizer, coordinates, durability="strict"):
        made = self.json("POST", "/v1/sessions", {"optimizer": optimizer, "coordinates": coordinates,
                                                  "durability": durability})
        return Session(self, made["id"])


class Session:
    """One optimization. The server keeps the optimizer's state and the step; theta stays here."""

    def __init__(self, descent, name):
        self.descent, self.path, self.step = descent, f"/v1/sessions/{name}", 0

    def update(self, gradient, loss):
        """What to add to theta. The step's number makes it safe to ask again when the answer was lost."""
        headers = {"Content-Type": "application/octet-stream", "Descent-Step": str(self.step),
                   "Descent-Loss": repr(float(loss))}
        body = numpy.ascontiguousarray(gradient, dtype="<f4").tobytes()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answered, content = self.descent.ask("POST", self.path + "/update", body, headers)
                break
            except (ConnectionError, http.client.HTTPException, TimeoutError):
                self.descent.connection.close()
                if attempt == ATTEMPTS:
                    raise
        self.step = int(answered["Descent-Step"])
        return numpy.frombuffer(content, dtype="<f4")

    def end(self):
        self.descent.ask("DELETE", self.path)
