"""Tests of the demo's own arithmetic, without a server: python3 clients/demo/test_demo.py"""

import os
import tempfile
import unittest
import xml.dom.minidom

import numpy

from chart import svg, text
from demo import verdict
from problems import Digits, Generated, Quadratics, read_idx

IMAGES = Generated()


class Gradients(unittest.TestCase):
    """Each against central differences, in float64, along axes and along random directions."""

    def check(self, loss, theta, gradient):
        rng = numpy.random.default_rng(5)
        axes = numpy.eye(len(theta))[rng.choice(len(theta), 40, replace=False)]
        for direction in (*axes, *rng.standard_normal((10, len(theta)))):
            h = 1e-5
            measured = (loss(theta + h * direction) - loss(theta - h * direction)) / (2 * h)
            self.assertAlmostEqual(measured, gradient @ direction, delta=1e-7 * (1 + abs(measured)))

    def test_digits(self):
        problem = Digits(0, IMAGES)
        theta = problem.theta.astype(float) * 5  # so that sigmoids are bent
        self.check(lambda x: problem.look(x, 3)[0], theta, problem.look(theta, 3)[1])

    def test_quadratics(self):
        problem = Quadratics(0, count=5)
        theta = problem.theta.astype(float) + 1
        # the loss is the mean of five functions, the gradient that of each
        self.check(lambda x: problem.look(x, 0)[0] * 5, theta, problem.look(theta, 0)[1])

    def test_drawn_by_the_seed(self):
        for make in (Quadratics, lambda seed: Digits(seed, IMAGES)):
            one, same, other = make(1), make(1), make(2)
            self.assertTrue((one.theta == same.theta).all() and not (one.theta == other.theta).all())
            self.assertEqual(one.look(one.theta, 7)[0], same.look(one.theta, 7)[0])
            self.assertNotEqual(one.look(one.theta, 7)[0], other.look(one.theta, 7)[0])


class Files(unittest.TestCase):
    def refused(self, content):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "images")
            with open(path, "wb") as file:
                file.write(content)
            with self.assertRaises(ValueError):
                read_idx(path)

    def test_idx(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "images")
            with open(path, "wb") as file:
                file.write(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255]))
            self.assertEqual(read_idx(path).tolist(), [[1, 2, 3], [4, 5, 255]])
        for content in (b"", b"PNG and so on", bytes([0, 0, 13, 1, 0, 0, 0, 1, 9]), bytes([0, 0, 8, 2, 0, 0, 0, 2]),
                        bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2])):
            self.refused(content)


class Telling(unittest.TestCase):
    def test_who_wins(self):
        good, bad = [0.1, 0.11, 0.12], [0.2, 0.21, 0.22]
        self.assertIn("ours wins, by a factor of 1.9", verdict("ours", good, bad))
        self.assertIn("Adam wins, by a factor of 1.9", verdict("ours", bad, good))
        self.assertIn("no difference that 3 runs", verdict("ours", good, [0.11, 0.1, 0.125]))
        self.assertIn("not every run", verdict("ours", [0.1, numpy.inf, 0.1], bad))

    def test_charts(self):
        curves = [("<ours>", [1, 0.1, 0.01]), ("theirs", [1, numpy.nan, numpy.inf])]
        lines = text(curves, width=20, height=5)
        self.assertEqual(lines[0][11], "#")  # both begin at the top; ours is drawn over theirs
        self.assertEqual(lines[4][30], "#")
        self.assertNotIn("o", "".join(lines[0:5]))
        xml.dom.minidom.parseString(svg([("a & b", curves)]))


if __name__ == "__main__":
    unittest.main()
