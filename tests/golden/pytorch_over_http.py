"""Import a PyTorch nn.LSTM + nn.Linear state dict into a running server and follow it for 100 steps.

    python3 tests/golden/pytorch_over_http.py http://127.0.0.1:8080

Needs torch and numpy (Debian: python3-torch, python3-numpy). Imports none of our code. Prints, for each number of
coordinates, the largest difference between the served update and PyTorch's; fails when one is above 1e-5.
"""

import json
import struct
import sys
import urllib.request

import numpy as np
import torch

URL = sys.argv[1] + "/v1"
JSON = {"Content-Type": "application/json"}
P = 10.0


def post(path, body, headers):
    request = urllib.request.Request(URL + path, body, headers, method="POST")
    with urllib.request.urlopen(request) as reply:
        return reply.read()


def create(path, value):
    return json.loads(post(path, json.dumps(value).encode(), JSON))


def safetensors(tensors):
    """The bytes of a safetensors file, written from the format's description."""
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = tensor.numpy().astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def log_sign(gradient):
    """The paper's preprocessing, appendix A."""
    size = np.abs(gradient.astype(np.float64))
    big = size >= np.exp(-P)
    logs = np.where(big, np.log(np.maximum(size, 1e-300)) / P, -1.0)
    return np.stack([logs, np.where(big, np.sign(gradient), np.exp(P) * gradient)], 1)


def follow(optimizer, lstm, output, n):
    session = create("/sessions", {"optimizer": optimizer, "coordinates": n})["id"]
    rng, state, worst = np.random.default_rng(n), None, 0.0
    for step in range(100):
        scale = 10.0 ** rng.uniform(-7, 2, n)
        gradient = (rng.standard_normal(n) * scale).astype("<f4")
        headers = {"Content-Type": "application/octet-stream", "Descent-Step": str(step)}
        served = np.frombuffer(post(f"/sessions/{session}/update", gradient.tobytes(), headers), "<f4")
        with torch.no_grad():
            top, state = lstm(torch.tensor(log_sign(gradient)[None].astype("f4")), state)
            expected = output(top)[0, :, 0].numpy()
        worst = max(worst, float(np.abs(served - expected).max()))
    return worst


def main():
    torch.manual_seed(0)
    lstm, output = torch.nn.LSTM(2, 20, 2), torch.nn.Linear(20, 1)
    tensors = {"lstm." + k: v for k, v in lstm.state_dict().items()}
    tensors.update({"output." + k: v for k, v in output.state_dict().items()})
    name = f"pytorch-{np.random.randint(1 << 30)}"
    create("/optimizers", {"name": name, "family": "lstm"})
    post(f"/optimizers/{name}/versions", safetensors(tensors), {"Content-Type": "application/x-safetensors"})
    worst = 0.0
    for n in (1, 7, 16, 17, 1000):
        difference = follow(name, lstm, output, n)
        print(f"n = {n:5}  largest difference {difference:.2e}")
        worst = max(worst, difference)
    return 0 if worst <= 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
