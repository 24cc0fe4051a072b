"""Minimise a quadratic with an optimizer that lives in a Descent server: `make run`, then run this file."""

import json
import sys
import urllib.error
import urllib.request

URL = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080") + "/v1"


def post(path, body):
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


try:
    post("/optimizers", {"name": "quickstart", "family": "adam", "config": {"learning_rate": 0.2}})
except urllib.error.HTTPError as error:
    if error.code != 409:  # 409: it is there from last time
        raise

target = [3.0, -1.0, 0.5]
theta = [0.0, 0.0, 0.0]
session = post("/sessions", {"optimizer": "quickstart", "coordinates": len(theta)})["id"]
for step in range(60):
    loss = sum((x - y) ** 2 for x, y in zip(theta, target))
    gradient = [2 * (x - y) for x, y in zip(theta, target)]
    answer = post(f"/sessions/{session}/update", {"gradient": gradient, "step": step, "loss": loss})
    theta = [x + g for x, g in zip(theta, answer["update"])]
    if step % 10 == 0:
        print(f"step {step:3}  loss {loss:.6f}")
print("theta", [round(x, 3) for x in theta])
