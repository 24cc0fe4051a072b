"""A learned optimizer against Adam, both in a Descent server, both asked over HTTP; the gradients are made here.

    make demo
    python3 clients/demo/demo.py --serve build/descent [--data-dir DIR] [--quick] [--svg FILE]
    python3 clients/demo/demo.py --url http://127.0.0.1:8080

Two experiments: quadratics, the learned optimizer's own ground, and a network that reads digits (MNIST below
--data-dir; without it generated figures). Adam gets the best of nine learning rates, found on problems drawn apart
from those on which the two meet. Who wins is said at the end, whoever it is.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from typing import NamedTuple

import numpy

from chart import svg, text
from descent import Descent
from problems import Digits, Generated, Mnist, Quadratics

RATES = 10.0 ** numpy.arange(-4, 0.5, 0.5)
FIRST_TUNING_SEED = 1000  # the two meet on seeds from 0


class Effort(NamedTuple):
    """How much to do."""

    runs: int
    tuning_runs: int
    steps: int


FULL, QUICK = Effort(5, 2, 100), Effort(2, 1, 40)


class Run(NamedTuple):
    """One optimization that is over: the losses at theta_0, theta_1, ...; the last theta, and its score."""

    losses: list
    theta: numpy.ndarray
    score: float


def minimise(descent, optimizer, problem, steps, durability):
    theta, losses = problem.theta, []
    session = descent.session(optimizer, len(theta), durability)
    for step in range(steps):
        loss, gradient = problem.look(theta, step)
        losses.append(loss)
        theta = theta + session.update(gradient, loss)
    session.end()
    return Run(losses + [problem.look(theta, steps)[0]], theta, problem.score(theta))


def adam(descent, rate):
    """The reference of Adam with this learning rate; made when it is not there."""
    name = f"demo-adam-{rate:.1e}".replace("+", "")
    if name not in descent.optimizers():
        descent.json("POST", "/v1/optimizers", {"name": name, "family": "adam",
                                                "config": {"learning_rate": float(rate)}})
    return name


def tune(descent, make, runs, steps):
    """The best of RATES by the mean score of `runs` problems that nobody is measured on."""
    best = (numpy.inf, None)
    for rate in RATES:
        scores = [minimise(descent, adam(descent, rate), make(FIRST_TUNING_SEED + i), steps, "memory").score
                  for i in range(runs)]
        mean = numpy.mean(scores) if numpy.isfinite(scores).all() else numpy.inf
        best = min(best, (mean, rate))
    return best[1]


def verdict(learned, ours, theirs):
    """One sentence; both are scores of the same problems, less is better."""
    ends = f"{learned} ends at {numpy.mean(ours):.3g}, Adam at {numpy.mean(theirs):.3g}: "
    if not numpy.isfinite(ours + theirs).all():
        return ends + "not every run stayed finite."
    difference = numpy.array(ours) - numpy.array(theirs)
    mean, error = difference.mean(), difference.std(ddof=1) / len(difference) ** 0.5
    if abs(mean) <= 2 * error:
        return ends + f"no difference that {len(ours)} runs can show."
    factor = max(numpy.mean(ours), numpy.mean(theirs)) / min(numpy.mean(ours), numpy.mean(theirs))
    return ends + f"{learned if mean < 0 else 'Adam'} wins, by a factor of {factor:.2f}."


def experiment(descent, learned, make, title, effort):
    """Tune Adam, let the two meet, print; returns the title and the two mean curves."""
    print(f"== {title}\n\n{learned}: {descent.description(learned)}\n")
    print(f"Adam tries {len(RATES)} learning rates first ...\n", flush=True)
    rate = tune(descent, make, effort.tuning_runs, effort.steps)
    ours, theirs = ([minimise(descent, optimizer, make(seed), effort.steps, "strict") for seed in range(effort.runs)]
                    for optimizer in (learned, adam(descent, rate)))
    names = learned, f"adam at learning rate {rate:.2g}, the best of {len(RATES)}"
    curves = [(name, numpy.mean([run.losses for run in runs], axis=0)) for name, runs in zip(names, (ours, theirs))]
    print("\n".join(text(curves)) + "\n")
    print(verdict(learned, [run.score for run in ours], [run.score for run in theirs]))
    if rate in (RATES[0], RATES[-1]):
        print(f"{rate:.2g} is the last learning rate that was tried; a better one may lie beyond it.")
    if hasattr(make(0), "accuracy"):
        right = [numpy.mean([make(0).accuracy(run.theta) for run in runs]) for runs in (ours, theirs)]
        print(f"Images it has not seen: {right[0]:.1%} right with {learned}, {right[1]:.1%} with Adam.")
    print()
    return title, curves


def choose(descent, wanted):
    """The optimizer to show on quadratics, and the one on a network."""
    have = descent.optimizers()
    if wanted:
        if wanted not in have:
            sys.exit(f"demo: the server has no optimizer {wanted}; it has {', '.join(sorted(have))}")
        return wanted, wanted
    learned = [name for name in sorted(have) if name.startswith(("lstm-", "ntm-", "universal"))]
    if not learned:
        sys.exit("demo: the server has no learned optimizer; name one with --optimizer")
    return tuple(name if name in have else learned[0] for name in ("lstm-quadratic", "lstm-mlp"))


def images(data_dir):
    folder = next((path for path in (data_dir and os.path.join(data_dir, "mnist"), data_dir)
                   if path and Mnist.is_in(path)), None)
    if data_dir and not folder:
        print(f"There is no MNIST in {data_dir}: taking generated figures.\n")
    return Mnist(folder) if folder else Generated()


@contextlib.contextmanager
def server(program):
    """The address of a server of our own, on a free port, with data that goes when it stops."""
    with tempfile.TemporaryDirectory(prefix="descent-demo-") as data:
        argv = [program, "serve", "--listen", "127.0.0.1:0", "--data", data, "--log-level", "error"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process.stdout.readline().split()[-1]
            finally:
                process.terminate()


def show(url, options):
    descent = Descent(url, os.environ.get("DESCENT_API_KEY"))
    on_quadratics, on_network = choose(descent, options.optimizer)
    pictures = images(options.data_dir)
    effort = QUICK if options.quick else FULL
    panels = [
        experiment(descent, on_quadratics, Quadratics, Quadratics.title, effort),
        experiment(descent, on_network, lambda seed: Digits(seed, pictures), Digits.title + pictures.name, effort),
    ]
    if options.svg:
        with open(options.svg, "w", encoding="utf-8") as file:
            file.write(svg(panels))
        print(f"The curves are in {options.svg}.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--serve", metavar="PROGRAM", help="start a server of its own")
    where.add_argument("--url", help="ask this server; DESCENT_API_KEY is its key")
    parser.add_argument("--optimizer", help="the optimizer to show in both experiments")
    parser.add_argument("--data-dir", metavar="DIR", help="where MNIST is, as DIR/mnist/train-images-idx3-ubyte.gz")
    parser.add_argument("--svg", metavar="FILE", help="write the curves there")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    options = parser.parse_args()
    if options.serve:
        with server(options.serve) as url:
            show(url, options)
    else:
        show(options.url, options)


if __name__ == "__main__":
    main()
