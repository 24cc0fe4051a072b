"""Write the golden vectors: what PyTorch answers to the gradients that test_golden.c will give to us.

    python3 tests/golden/make_golden.py            # all of them, beside this file
    python3 tests/golden/make_golden.py adam ...   # only these

Needs torch and numpy (Debian: python3-torch, python3-numpy). Imports none of our code; the format of both files and
the formula of the gradients are in README.md. To add a case: one row of CASES. A reference is a class with
step(gradient) -> update and state() -> [n, width], in float64; `optim` makes one of any torch.optim class.
"""

import json
import pathlib
import struct
import sys

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
STEPS = 100
SIZES = (1, 7, 16, 17, 1000)
SMALL = 17  # up to here every step is kept, and of the last state no more coordinates than this
CHOSEN = (0, 1, 9, 99)  # of a larger n

# --- gradients ---


def mix(x):
    """The finalizer of MurmurHash3, on an array of uint32."""
    x = x.astype(np.uint64)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    return x.astype(np.uint32)


def gradients(seed, n, step, low, high):
    """[n] float32, assembled from bits so that C makes the same; README.md says what is in them."""
    c = np.arange(n, dtype=np.uint32)
    own = mix(c + np.uint32(seed))
    now = mix(own ^ np.uint32(step * 0x9E3779B9 & 0xFFFFFFFF))
    more = mix(now ^ np.uint32(0x5BD1E995))
    span = np.uint32(high - low + 1)
    wander = own >> 31 == 1
    exponent = np.where(wander, more % span, (own % span + more % 3) % span) + np.uint32(low + 127)
    bits = exponent.astype(np.uint32) << 23 | now & 0x7FFFFF
    bits = np.where(more >> 27 == 1, now & 0x7FFFFF, bits)
    bits = np.where(more >> 27 == 0, 0, bits) | now & 0x80000000
    return bits.astype(np.uint32).view(np.float32)


# --- references ---


def optim(cls, kept=(), **options):
    """A torch.optim class. `kept` names what its state holds of each coordinate, in the order of our state."""

    class Reference:
        def __init__(self, n):
            self.x = torch.zeros(n, dtype=torch.float64, requires_grad=True)
            self.optimizer = cls([self.x], **options)

        def step(self, gradient):
            self.x.data.zero_()  # so that the update is read without a rounding
            self.x.grad = torch.tensor(gradient)
            self.optimizer.step(lambda: 0.0)
            return self.x.detach().numpy().copy()

        def state(self):
            state = self.optimizer.state[self.x]
            return np.stack([state[name].numpy() for name in kept], 1) if kept else np.zeros((len(self.x), 0))

    return Reference, {}


def lbfgs(rate=1.0, pairs=10):
    """torch.optim.LBFGS, one gradient a step; its state as a ring, as ours: pair p goes to slot p % pairs."""
    Step, _ = optim(torch.optim.LBFGS, lr=rate, max_iter=1, history_size=pairs, tolerance_grad=0, tolerance_change=0)

    class Reference(Step):
        def __init__(self, n):
            super().__init__(n)
            self.rows, self.pairs, self.update = np.zeros((n, 2 * pairs + 1)), 0, None

        def step(self, gradient):
            self.update = super().step(gradient)
            kept = self.optimizer.state[self.x]
            newest = kept["old_dirs"][-1] if kept.get("old_dirs") else None
            if newest is not None and newest is not getattr(self, "newest", None):
                self.newest, slot = newest, self.pairs % pairs
                self.rows[:, slot], self.rows[:, pairs + slot] = kept["old_stps"][-1].numpy(), newest.numpy()
                self.pairs += 1
            self.rows[:, -1] = gradient
            return self.update

        def state(self):
            return np.column_stack([self.rows, self.update])

    return Reference, {}


def quadratic(rate=1.0, pairs=10, condition=100.0):
    """The gradients that LBFGS meets on 1/2 (x - a)' A (x - a), A's eigenvalues from 1 to `condition`, each rounded to
    a float. Whatever rounds the vectors is amplified on the way, the more so the longer it is: with few pairs and a
    large condition by 1e5 in a hundred steps, which says nothing of who is right."""

    def gradients(n):
        rng, run = np.random.default_rng(n), lbfgs(rate, pairs)[0](n)
        basis, x, a = np.linalg.qr(rng.normal(size=(n, n)))[0], np.zeros(n), rng.normal(size=n)
        matrix = basis * np.geomspace(1, condition, n) @ basis.T
        met = []
        for _ in range(STEPS):
            met.append((matrix @ (x - a)).astype(np.float32))
            x += run.step(met[-1].astype(np.float64))
        return np.array(met)

    return {"gradients": gradients}


def lion(rate, beta1, beta2):
    """Algorithm 2 of Chen et al. 2023, without weight decay; torch has none."""

    class Reference:
        def __init__(self, n):
            self.m = np.zeros(n)

        def step(self, gradient):
            update = -rate * np.sign(beta1 * self.m + (1 - beta1) * gradient)
            self.m = beta2 * self.m + (1 - beta2) * gradient
            return update

        def state(self):
            return self.m[:, None]

    return Reference, {}


def lstm(config, size=1.0, seed=0):
    """nn.LSTM + nn.Linear in float64, with float32 weights `size` times as large as PyTorch draws them."""
    hidden, layers = config["hidden_size"], config["layers"]
    log_sign = config["preprocessing"] == "log_sign"
    inputs = 2 if log_sign else 1
    torch.manual_seed(seed)
    cells = torch.nn.LSTM(inputs, hidden, layers) if layers else torch.nn.Identity()
    output = torch.nn.Linear(hidden if layers else inputs, 1)
    weights = {"lstm." + k: size * v for k, v in cells.state_dict().items()}
    weights.update({"output." + k: size * v for k, v in output.state_dict().items()})
    cells.load_state_dict({k[5:]: v for k, v in weights.items() if k.startswith("lstm.")})
    output.load_state_dict({k[7:]: v for k, v in weights.items() if k.startswith("output.")})
    cells.double(), output.double()

    def prepare(gradient):
        if not log_sign:
            return gradient[:, None] * config["input_scale"]
        p, sizes = config["p"], np.abs(gradient)
        large = sizes >= np.exp(-p)
        logs = np.where(large, np.log(np.where(large, sizes, 1)) / p, -1)
        return np.stack([logs, np.where(large, np.sign(gradient), np.exp(p) * gradient)], 1)

    class Reference:
        def __init__(self, n):
            self.n, self.memory, self.prepare = n, None, prepare

        def step(self, gradient):
            with torch.no_grad():
                top = torch.tensor(self.prepare(gradient)[None])
                if layers:
                    top, self.memory = cells(top, self.memory)
                return config["output_scale"] * output(top)[0, :, 0].numpy()

        def state(self):
            if not layers:
                return np.zeros((self.n, 0))
            return np.concatenate([part[i].numpy() for i in range(layers) for part in self.memory], 1)

    return Reference, weights


def lstm_gac(config, size, seed):
    """The same network, cell by cell; behind each layer the first cells' h is averaged over the coordinates."""
    Plain, weights = lstm(config, size, seed)
    hidden, layers, averaged = config["hidden_size"], config["layers"], config["averaged_cells"]
    double = {name: tensor.double() for name, tensor in weights.items()}

    class Reference(Plain):
        def __init__(self, n):
            super().__init__(n)
            self.h, self.c = ([torch.zeros(n, hidden, dtype=torch.float64) for _ in range(layers)] for _ in "hc")

        def step(self, gradient):
            x = torch.tensor(self.prepare(gradient))
            for i in range(layers):
                w = [double[f"lstm.{name}_l{i}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
                gates = x @ w[0].T + w[2] + self.h[i] @ w[1].T + w[3]
                i_gate, f_gate, g_gate, o_gate = gates.chunk(4, 1)
                self.c[i] = torch.sigmoid(f_gate) * self.c[i] + torch.sigmoid(i_gate) * torch.tanh(g_gate)
                x = torch.sigmoid(o_gate) * torch.tanh(self.c[i])
                x[:, :averaged] = x[:, :averaged].mean(0)
                self.h[i] = x
            answer = x @ double["output.weight"].T + double["output.bias"]
            return config["output_scale"] * answer[:, 0].numpy()

        def state(self):
            parts = [part[i].numpy() for i in range(layers) for part in (self.h, self.c)]
            return np.concatenate(parts, 1) if parts else np.zeros((self.n, 0))

    return Reference, weights


def ntm_lbfgs(config, size=1.0, seed=0):
    """The formulas of appendix D, with the memory as a matrix; lstm_gac's weights and cells."""
    reads, writes, window = config["read_heads"], config["write_heads"], config["window"]
    hidden, layers, averaged = config["hidden_size"], config["layers"], config["averaged_cells"]
    features = 2 if config["preprocessing"] == "log_sign" else 1
    torch.manual_seed(seed)
    cells = torch.nn.LSTM(features + reads, hidden, layers)
    output = torch.nn.Linear(hidden, 1 + reads + 2 * writes)
    weights = {"lstm." + k: size * v for k, v in cells.state_dict().items()}
    weights.update({"output." + k: size * v for k, v in output.state_dict().items()})
    double = {name: tensor.double() for name, tensor in weights.items()}
    prepare = lstm(config)[0](1).prepare

    class Reference:
        def __init__(self, n):
            self.h, self.c = ([torch.zeros(n, hidden, dtype=torch.float64) for _ in range(layers)] for _ in "hc")
            self.r = torch.zeros(n, reads, dtype=torch.float64)
            self.a, self.b = (torch.zeros(n, window, writes, dtype=torch.float64) for _ in "ab")
            self.t = 0

        def step(self, gradient):
            n = len(gradient)
            memory = config["sigma"] * torch.eye(n, dtype=torch.float64)
            memory += config["memory_gain"] * self.a.reshape(n, -1) @ self.b.reshape(n, -1).T
            x = torch.cat([torch.tensor(prepare(gradient)), memory @ self.r], 1)
            for i in range(layers):
                w = [double[f"lstm.{name}_l{i}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
                i_gate, f_gate, g_gate, o_gate = (x @ w[0].T + w[2] + self.h[i] @ w[1].T + w[3]).chunk(4, 1)
                self.c[i] = torch.sigmoid(f_gate) * self.c[i] + torch.sigmoid(i_gate) * torch.tanh(g_gate)
                x = torch.sigmoid(o_gate) * torch.tanh(self.c[i])
                x[:, :averaged] = x[:, :averaged].mean(0)
                self.h[i] = x
            answers = x @ double["output.weight"].T + double["output.bias"]
            g, self.r, a, b = answers.split([1, reads, writes, writes], 1)
            self.a[:, self.t % window], self.b[:, self.t % window] = a, b
            self.t += 1
            return config["output_scale"] * g[:, 0].numpy()

        def state(self):
            parts = [part[i] for i in range(layers) for part in (self.h, self.c)]
            return torch.cat([*parts, self.r, self.a.flatten(1), self.b.flatten(1)], 1).numpy()

    return Reference, weights


def rnnprop(config, size=1.0, seed=0):
    """Lv, Jiang, Li 2017, with nn.Linear, nn.LSTM, nn.Linear."""
    hidden, beta1, beta2 = config["hidden_size"], config["beta1"], config["beta2"]
    torch.manual_seed(seed)
    parts = {"input": torch.nn.Linear(2, hidden), "lstm": torch.nn.LSTM(hidden, hidden, config["layers"]),
             "output": torch.nn.Linear(hidden, 1)}  # fmt: skip
    weights = {f"{name}.{k}": size * v.clone() for name, part in parts.items() for k, v in part.state_dict().items()}
    for name, part in parts.items():
        part.load_state_dict({k: weights[f"{name}.{k}"] for k in part.state_dict()})
        part.double()

    class Reference:
        def __init__(self, n):
            self.m, self.v, self.t, self.memory = np.zeros(n), np.zeros(n), 0, None

        def step(self, gradient):
            self.t += 1
            self.m = beta1 * self.m + (1 - beta1) * gradient
            self.v = beta2 * self.v + (1 - beta2) * gradient**2
            s = np.sqrt(self.v / (1 - beta2**self.t)) + config["eps"]
            x = torch.tensor(np.stack([gradient / s, self.m / (1 - beta1**self.t) / s], 1)[None])
            with torch.no_grad():
                top, self.memory = parts["lstm"](torch.nn.functional.elu(parts["input"](x)), self.memory)
                return -config["alpha"] * torch.tanh(parts["output"](top))[0, :, 0].numpy()

        def state(self):
            parts = [part[i].numpy() for i in range(config["layers"]) for part in self.memory]
            return np.column_stack([*parts, self.m, self.v])

    return Reference, weights


# --- the cases ---


def lstm_case(name, hidden, layers, preprocessing, **more):
    size, low, high, bare = (more.pop(k, v) for k, v in (("size", 1.0), ("low", -40), ("high", 9), ("bare", False)))
    family, make = ("lstm_gac", lstm_gac) if "averaged_cells" in more else ("lstm", lstm)
    config = {"hidden_size": hidden, "layers": layers, "preprocessing": preprocessing, "p": 10.0, "input_scale": 1.0,
              "output_scale": 1.0, **more}  # fmt: skip
    return name, family, config, make(config, size, len(name)), {"low": low, "high": high, "bare": bare}


ADAM, BUFFER, RPROP = ("exp_avg", "exp_avg_sq"), ("momentum_buffer",), ("prev", "step_size")

def ntm_case(name, hidden, layers, **more):
    size, bare = more.pop("size", 1.0), more.pop("bare", False)
    low, high = more.pop("low", -40), more.pop("high", 9)
    config = {"hidden_size": hidden, "layers": layers, "preprocessing": "log_sign", "p": 10.0, "input_scale": 1.0,
              "output_scale": 1.0, "averaged_cells": 2, "read_heads": 1, "write_heads": 3, "sigma": 1.0,
              "memory_gain": 0.1, "window": 10, **more}  # fmt: skip
    return name, "ntm_lbfgs", config, ntm_lbfgs(config, size, len(name)), {"low": low, "high": high, "bare": bare}


def rnnprop_case(name, hidden, layers, **more):
    size, bare = more.pop("size", 1.0), more.pop("bare", False)
    config = {"hidden_size": hidden, "layers": layers, "beta1": 0.95, "beta2": 0.95, "eps": 1e-8, "alpha": 0.1, **more}
    return name, "rnnprop", config, rnnprop(config, size, len(name)), {"bare": bare}


# Each row: file name, family, config as our API takes it, reference, and how the gradients and the file differ from
# `low` = -40 and `high` = 9 (their exponents: 1e-12 to 1e3) and `bare` = False (True: no metadata in the weights file).
CASES = [
    ("sgd", "sgd", {"learning_rate": 0.01}, optim(torch.optim.SGD, lr=0.01), {}),
    ("adam", "adam", {}, optim(torch.optim.Adam, ADAM), {}),
    ("adam_fast", "adam", {"learning_rate": 0.3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
     optim(torch.optim.Adam, ADAM, lr=0.3, betas=(0.5, 0.9), eps=1e-3), {}),
    ("adam_plain_mean", "adam", {"beta1": 0.0, "beta2": 0.99},
     optim(torch.optim.Adam, ADAM, betas=(0.0, 0.99)), {}),
    ("momentum", "momentum", {}, optim(torch.optim.SGD, BUFFER, lr=0.01, momentum=0.9), {}),
    ("momentum_heavy", "momentum", {"learning_rate": 0.5, "momentum": 0.99},
     optim(torch.optim.SGD, BUFFER, lr=0.5, momentum=0.99), {}),
    ("nag", "nag", {}, optim(torch.optim.SGD, BUFFER, lr=0.01, momentum=0.9, nesterov=True), {}),
    ("nag_light", "nag", {"learning_rate": 2.0, "momentum": 0.3},
     optim(torch.optim.SGD, BUFFER, lr=2.0, momentum=0.3, nesterov=True), {}),
    ("rmsprop", "rmsprop", {}, optim(torch.optim.RMSprop, ("square_avg",)), {}),
    ("rmsprop_fast", "rmsprop", {"learning_rate": 0.3, "alpha": 0.5, "eps": 1e-3},
     optim(torch.optim.RMSprop, ("square_avg",), lr=0.3, alpha=0.5, eps=1e-3), {}),
    ("adagrad", "adagrad", {}, optim(torch.optim.Adagrad, ("sum",)), {}),
    ("adagrad_eps", "adagrad", {"learning_rate": 3.0, "eps": 0.1},
     optim(torch.optim.Adagrad, ("sum",), lr=3.0, eps=0.1), {}),
    ("amsgrad", "amsgrad", {}, optim(torch.optim.Adam, ADAM + ("max_exp_avg_sq",), amsgrad=True), {}),
    ("amsgrad_fast", "amsgrad", {"learning_rate": 0.3, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
     optim(torch.optim.Adam, ADAM + ("max_exp_avg_sq",), lr=0.3, betas=(0.5, 0.9), eps=1e-3, amsgrad=True), {}),
    ("lion", "lion", {}, lion(1e-4, 0.9, 0.99), {}),
    ("lion_fast", "lion", {"learning_rate": 0.25, "beta1": 0.5, "beta2": 0.75}, lion(0.25, 0.5, 0.75), {}),
    ("rprop", "rprop", {}, optim(torch.optim.Rprop, RPROP), {}),
    ("rprop_wide", "rprop", {"learning_rate": 1e-3, "eta_minus": 0.9, "eta_plus": 1.5, "step_min": 1e-9, "step_max": 1e3},
     optim(torch.optim.Rprop, RPROP, lr=1e-3, etas=(0.9, 1.5), step_sizes=(1e-9, 1e3)), {}),
    ("lbfgs", "lbfgs", {}, lbfgs(), quadratic()),
    ("lbfgs_short", "lbfgs", {"learning_rate": 0.5, "history_size": 3}, lbfgs(0.5, 3), quadratic(0.5, 3, 10.0)),
    ("lbfgs_long", "lbfgs", {"learning_rate": 0.1, "history_size": 100}, lbfgs(0.1, 100), quadratic(0.1, 100)),
    lstm_case("lstm_linear", 20, 0, "none", input_scale=0.5, output_scale=3.0),
    lstm_case("lstm_linear_log", 20, 0, "log_sign", p=50.0),
    lstm_case("lstm_1x1", 1, 1, "none", high=2),
    lstm_case("lstm_5x3", 5, 3, "log_sign", p=5.0),
    lstm_case("lstm_20x2", 20, 2, "log_sign", bare=True),
    lstm_case("lstm_20x2_large", 20, 2, "log_sign", size=3.0),
    lstm_case("lstm_20x2_none", 20, 2, "none", input_scale=0.01),
    lstm_case("lstm_20x2_scaled", 20, 2, "log_sign", output_scale=0.01),
    lstm_case("lstm_33x1", 33, 1, "log_sign", p=1.0),
    lstm_case("lstm_33x4", 33, 4, "none", low=-8, high=2),
    ntm_case("ntm_lbfgs", 20, 2, bare=True),
    ntm_case("ntm_lbfgs_wide", 9, 1, read_heads=2, write_heads=4, window=3, averaged_cells=0, sigma=0.5),
    ntm_case("ntm_lbfgs_none", 5, 3, preprocessing="none", read_heads=3, write_heads=1, low=-8, high=2, bare=True),
    rnnprop_case("rnnprop", 20, 2, bare=True),
    rnnprop_case("rnnprop_large", 20, 2, size=3.0, alpha=2.0),
    rnnprop_case("rnnprop_7x3", 7, 3, beta1=0.5, beta2=0.9, eps=1e-3),
    rnnprop_case("rnnprop_33x1", 33, 1, beta1=0.0),
    lstm_case("lstm_gac_20x2", 20, 2, "log_sign", averaged_cells=2),
    lstm_case("lstm_gac_20x2_bare", 20, 2, "log_sign", averaged_cells=2, bare=True),
    lstm_case("lstm_gac_5x3_all", 5, 3, "none", averaged_cells=5, low=-8, high=2),
    lstm_case("lstm_gac_33x1_large", 33, 1, "log_sign", averaged_cells=7, size=3.0),
]  # fmt: skip

# --- files ---


def write_weights(path, family, config, weights, bare):
    """A safetensors file, written from the format's description."""
    header, data = {}, b""
    if not bare:
        header["__metadata__"] = {"family": family, "config": json.dumps(config)}
    for name, tensor in weights.items():
        raw = tensor.numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def section(reference, n, low, high, given=None):
    """One n. `given` [STEPS, n] replaces the formula where a family needs gradients that belong together."""
    run, seed, updates = reference(n), 7919 * n, []
    chosen = range(STEPS) if n <= SMALL else CHOSEN
    for step in range(STEPS):
        gradient = gradients(seed, n, step, low, high) if given is None else given[step]
        update = run.step(gradient.astype(np.float64))
        if step in chosen:
            updates.append(update)
    # Of a single coordinate the last average may be a cancellation, with no neighbours that say how small is small.
    state = run.state()[-SMALL:] if n > 1 else run.state()[:0]
    head = struct.pack("<9i", n, STEPS, seed, low, high, given is not None, len(chosen), *state.shape)
    stored = b"" if given is None else np.asarray(given, "<f4").tobytes()
    numbers = np.concatenate([np.array(updates).ravel(), state.ravel()])
    assert np.isfinite(numbers).all()
    return head + struct.pack(f"<{len(chosen)}i", *chosen) + stored + numbers.astype("<f8").tobytes()


def write_case(name, family, config, made, more):
    (reference, weights), (low, high) = made, (more.get("low", -40), more.get("high", 9))
    write_weights(HERE / f"{name}.safetensors", family, config, weights, more.get("bare", False))
    given = more.get("gradients", lambda n: None)
    sections = [section(reference, n, low, high, given(n)) for n in more.get("sizes", SIZES)]
    head = struct.pack("<8s24si", b"DSCGOLD1", family.encode(), len(sections))
    (HERE / f"{name}.golden").write_bytes(head + b"".join(sections))


def main():
    torch.set_num_threads(1)
    for case in CASES:
        if len(sys.argv) == 1 or case[0] in sys.argv[1:]:
            write_case(*case)
            print(case[0])


if __name__ == "__main__":
    main()
