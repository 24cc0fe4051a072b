"""A server for the tests that need one: the program that DESCENT_SERVER names, in a temporary folder."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import descent

PROGRAM = os.environ.get("DESCENT_SERVER")


@unittest.skipUnless(PROGRAM, "DESCENT_SERVER names no server")
class WithServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.process = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", cls.folder,
                                        "--log-level", "error"], stdout=subprocess.PIPE, text=True)
        port = re.search(r":(\d+)$", cls.process.stdout.readline().strip()).group(1)
        cls.client = descent.Client(f"http://127.0.0.1:{port}")
        cls.client.create_optimizer("adam-fast", "adam", {"learning_rate": 0.05})

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.process.terminate()
        cls.process.wait()
        cls.process.stdout.close()
        shutil.rmtree(cls.folder)
