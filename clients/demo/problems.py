"""What the demo minimises: gradients by hand, in NumPy. theta is one float32 vector, as the server sees it.

A problem has `theta`, where it starts; `look(theta, step)`, the loss there and its gradient; and `score(theta)`,
by which the end is judged. Everything drawn is a function of the seed, so that two optimizers meet the same numbers.
"""

import gzip
import os

import numpy

BATCH = 128


class Quadratics:
    """`count` random least squares |W theta - y|^2 of 10 coordinates each, W and y uniform in [0, 1): the first
    experiment of Andrychowicz et al. 2016. All of them are one session: what the server keeps is per coordinate."""

    title = "quadratics of 10 coordinates"

    def __init__(self, seed, count=128, dimension=10):
        rng = numpy.random.default_rng([1, seed])
        self.w = rng.random((count, dimension, dimension))
        self.y = rng.random((count, dimension))
        self.theta = (0.01 * rng.standard_normal(count * dimension)).astype(numpy.float32)

    def look(self, theta, step):
        del step  # the same functions at each
        residual = numpy.einsum("fij,fj->fi", self.w, theta.reshape(self.y.shape)) - self.y
        gradient = 2 * numpy.einsum("fij,fi->fj", self.w, residual)
        return (residual**2).sum(1).mean(), gradient.ravel()

    def score(self, theta):
        return self.look(theta, 0)[0]


class Digits:
    """A 784-20-10 network with sigmoids and softmax cross-entropy, on minibatches of 128 images."""

    title = "784-20-10 network, "
    sizes = (784, 20, 10)

    def __init__(self, seed, images):
        self.images, self.seed = images, seed
        rng = numpy.random.default_rng([2, seed])
        inputs, hidden, classes = self.sizes
        count = (inputs + 1) * hidden + (hidden + 1) * classes
        self.theta = (0.1 * rng.standard_normal(count)).astype(numpy.float32)

    def split(self, theta):
        """W1 [784, 20], b1 [20], W2 [20, 10], b2 [10]."""
        inputs, hidden, classes = self.sizes
        parts = numpy.split(theta, numpy.cumsum([inputs * hidden, hidden, hidden * classes]))
        return parts[0].reshape(inputs, hidden), parts[1], parts[2].reshape(hidden, classes), parts[3]

    def forward(self, theta, x):
        """Activations of the hidden layer, log-probabilities of the classes."""
        w1, b1, w2, b2 = self.split(theta)
        hidden = 0.5 * numpy.tanh(0.5 * (x @ w1 + b1)) + 0.5  # a sigmoid that cannot overflow
        logits = hidden @ w2 + b2
        logits = logits - logits.max(1, keepdims=True)
        return hidden, logits - numpy.log(numpy.exp(logits).sum(1, keepdims=True))

    def loss_and_gradient(self, theta, x, labels):
        rows = numpy.arange(len(labels))
        hidden, log_p = self.forward(theta, x)
        d_logits = numpy.exp(log_p)
        d_logits[rows, labels] -= 1
        d_logits /= len(labels)
        d_hidden = (d_logits @ self.split(theta)[2].T) * hidden * (1 - hidden)
        parts = [x.T @ d_hidden, d_hidden.sum(0), hidden.T @ d_logits, d_logits.sum(0)]
        return -log_p[rows, labels].mean(), numpy.concatenate([part.ravel() for part in parts])

    def look(self, theta, step):
        rng = numpy.random.default_rng([3, self.seed, step])
        batch = rng.integers(len(self.images.labels), size=BATCH)
        return self.loss_and_gradient(theta, self.images.x[batch], self.images.labels[batch])

    def score(self, theta):
        """The loss on images that were not trained on."""
        _, log_p = self.forward(theta, self.images.test_x)
        return -log_p[numpy.arange(len(log_p)), self.images.test_labels].mean()

    def accuracy(self, theta):
        _, log_p = self.forward(theta, self.images.test_x)
        return (log_p.argmax(1) == self.images.test_labels).mean()


# --- images ---


def read_idx(path):
    """An IDX file of bytes, gzipped or not: uint8 of its shape. ValueError says what is wrong with it."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 4 or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path} is no IDX file of bytes")
    shape = numpy.frombuffer(data, ">u4", data[3], 4).astype(int)
    values = numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3])
    if len(values) != shape.prod():
        raise ValueError(f"{path} has {len(values)} values; its header promises {shape.prod()}")
    return values.reshape(shape)


class Mnist:
    """MNIST or anything of its form, as DIR/train-images-idx3-ubyte(.gz) and so on."""

    def __init__(self, folder):
        self.name = f"images of {folder}"
        self.x, self.labels = self.read(folder, "train")
        self.test_x, self.test_labels = self.read(folder, "t10k")

    @staticmethod
    def read(folder, part):
        images, labels = (
            read_idx(next(path for path in (stem, stem + ".gz") if os.path.exists(path)))
            for stem in (os.path.join(folder, f"{part}-images-idx3-ubyte"),
                         os.path.join(folder, f"{part}-labels-idx1-ubyte")))
        if images.ndim != 3 or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1] or labels.max() > 9:
            raise ValueError(f"{folder}: {part} is not 28 x 28 images with a class of 0 to 9 each")
        return (images.reshape(len(images), -1) / numpy.float32(255)), labels.astype(int)

    @staticmethod
    def is_in(folder):
        return any(os.path.exists(os.path.join(folder, "train-images-idx3-ubyte" + end)) for end in ("", ".gz"))


class Generated:
    """Ten smooth random figures, each shifted, dimmed and noisy: for a machine without data."""

    name = "generated figures"

    def __init__(self):
        rng = numpy.random.default_rng(4)
        coarse = rng.standard_normal((10, 7, 7))
        figures = numpy.clip(numpy.kron(coarse, numpy.ones((1, 4, 4))), 0, 1.5) / 1.5
        self.x, self.labels = self.draw(rng, figures, 10000)
        self.test_x, self.test_labels = self.draw(rng, figures, 2000)

    @staticmethod
    def draw(rng, figures, count):
        labels = rng.integers(10, size=count)
        shift = rng.integers(-3, 4, size=(count, 2))
        shifted = [numpy.roll(figures[label], move, (0, 1)) for label, move in zip(labels, shift)]
        images = rng.uniform(0.4, 1, (count, 1, 1)) * numpy.array(shifted) + 0.25 * rng.standard_normal((count, 28, 28))
        return numpy.clip(images, 0, 1).reshape(count, -1).astype(numpy.float32), labels
