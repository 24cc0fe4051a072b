"""The parts of the client that need no server."""

import io
import unittest

import numpy as np

import descent
from descent import job, transport
from descent.session import Session


class Nobody:
    """A client that must not be asked."""


class SessionArguments(unittest.TestCase):
    def setUp(self):
        self.session = Session(Nobody(), {"id": "ses_1", "coordinates": 4, "step": 0})

    def test_wrong_size(self):
        with self.assertRaisesRegex(ValueError, "3 numbers"):
            self.session.update(np.zeros(3))

    def test_wrong_out(self):
        for out in (np.zeros(4), np.zeros(3, "<f4"), np.zeros((4, 2), "<f4")[:, 0]):
            with self.assertRaisesRegex(ValueError, "out must be"):
                self.session.update(np.zeros(4), out=out)


class Events(unittest.TestCase):
    class Stream(io.BytesIO):
        pass

    def test_parse(self):
        text = b'id: 1\nevent: progress\n: comment\ndata: {"a":\ndata: 1}\n\nid: 2\nevent: done\ndata: {}\n\ndata: cut'
        events = list(job._parse(self.Stream(text)))
        self.assertEqual(events, [job.Event("1", "progress", {"a": 1}), job.Event("2", "done", {})])


class Addresses(unittest.TestCase):
    def test_refused(self):
        for url in ("ftp://x", "http://", "//"):
            with self.assertRaises(ValueError):
                descent.Client(url)

    def test_pauses_grow_to_five_seconds(self):
        self.assertLessEqual(max(transport._pause(i) for i in range(1, 40)), 5.0)
        self.assertGreaterEqual(transport._pause(1), 0.05)


class Failures(unittest.TestCase):
    def test_nobody_listens(self):
        client = descent.Client("http://127.0.0.1:9", attempts=2, timeout=1)
        with self.assertRaises(descent.ConnectionFailed):
            client.info()


if __name__ == "__main__":
    unittest.main()
