#!/usr/bin/python3
"""Run clients through the conformance cases against a real server.

    run.py --server build/descent [--client NAME] [--case NAME] [--record] [CLIENT=COMMAND...]

Each case of cases/*.json gets a server of its own (plain kernel, temporary folder) behind a proxy that can break
connections, and a driver: the client's small program that reads one JSON command a line on stdin and answers with one
JSON line on stdout. README.md beside this file says what the commands are. Without CLIENT=COMMAND all clients of
clients.json are built and run, those excepted whose toolchain is not there, which are named. The last line is
`N passed, M failed`.

--record writes what the client received into the cases where they say null: updates and hashes.
"""

import argparse
import json
import os
import pathlib
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

from proxy import Proxy

HERE = pathlib.Path(__file__).parent
CLIENT_TIMEOUT_SECONDS = 2  # the drivers are told to wait this long for an answer
HOLD_SECONDS = 3            # what a late answer takes
RECORDED = ("update", "sha256")  # what --record fills in where a case says null
DRIVER_SECONDS = 60         # the longest that a driver may think


class Failed(Exception):
    pass


class Server:
    """One `descent serve` on a port that it keeps when it is killed and started again."""

    def __init__(self, program, folder):
        self.program, self.folder, self.port = program, folder, 0
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.folder, "--kernel", "plain",
             "--log-level", "error"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.search(r":(\d+)$", line.strip())
        if not found:
            raise Failed(f"the server did not start: {line!r}")
        self.port = int(found.group(1))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def restart_soon(self):
        """Kill it now; it is back while the client already tries again."""
        self.kill()
        threading.Timer(0.3, self.start).start()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.stdout.close()


class Driver:
    def __init__(self, command, url):
        env = dict(os.environ, DESCENT_URL=url, DESCENT_TIMEOUT_SECONDS=str(CLIENT_TIMEOUT_SECONDS))
        env.pop("DESCENT_API_KEY", None)
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=env)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def ask(self, command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        try:
            line = self.lines.get(timeout=DRIVER_SECONDS)
        except queue.Empty:
            raise Failed(f"no answer to {command['op']} within {DRIVER_SECONDS} s") from None
        if line is None:
            raise Failed(f"the driver ended at {command['op']}")
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.stdout.close()


def compare(expected, got, where):
    """Everything that `expected` names must be so in `got`; what else is there does not matter."""
    for name, value in expected.items():
        if name not in got:
            raise Failed(f"{where}: no {name!r} in {got}")
        if isinstance(value, dict) and isinstance(got[name], dict):
            compare(value, got[name], f"{where}.{name}")
        elif got[name] != value:
            raise Failed(f"{where}: {name} is {got[name]!r}, not {value!r}")


class Runner:
    def __init__(self, program, record):
        self.program, self.record = program, record
        self.passed = self.failed = self.skipped = 0

    def step(self, step, server, proxy, driver, where):
        if "server" in step:
            {"kill": server.restart_soon}[step["server"]]()
            return
        fault = step.get("fault")
        if fault:
            proxy.plan(fault["kind"], fault.get("times", 1))
        seen = proxy.seen
        got = driver.ask(step["command"])
        if fault and proxy.planned():
            raise Failed(f"{where}: {proxy.planned()} of the planned faults met no request")
        expected = step["expect"]
        if self.record:
            expected.update({name: got.get(name) for name, value in expected.items()
                             if value is None and name in RECORDED})
        compare(expected, got, where)
        requests = step.get("requests")
        if requests is not None and proxy.seen - seen != requests:
            raise Failed(f"{where}: {proxy.seen - seen} requests, not {requests}")

    def case(self, path, name, command):
        case = json.loads(path.read_text())
        with tempfile.TemporaryDirectory() as folder:
            server = Server(self.program, folder)
            proxy = Proxy(server.port, HOLD_SECONDS)
            driver = Driver(command, f"http://127.0.0.1:{proxy.port}")
            try:
                for i, step in enumerate(case["steps"]):
                    self.step(step, server, proxy, driver, f"step {i}")
                self.passed += 1
                print(f"ok      {name:12} {path.stem}", flush=True)
            except Failed as failure:
                self.failed += 1
                print(f"FAILED  {name:12} {path.stem}: {failure}", flush=True)
            finally:
                driver.stop()
                proxy.stop()
                server.stop()
        if self.record:
            path.write_text(dump(case))


def dump(case):
    """One step a line, so that a case can be read and its changes reviewed."""
    head = {k: v for k, v in case.items() if k != "steps"}
    lines = [f"  {json.dumps(k)}: {json.dumps(v)}," for k, v in head.items()]
    steps = ",\n".join("    " + json.dumps(step) for step in case["steps"])
    return "{\n" + "\n".join(lines) + '\n  "steps": [\n' + steps + "\n  ]\n}\n"


# --- the clients of this repository


def missing(client, words):
    """What the machine lacks for a client, or None."""
    for program in client["needs"]:
        if not shutil.which(program.format(**words)):
            return program.format(**words)
    if "python" in client and subprocess.run([words["python"], "-c", f"import {client['python']}"],
                                             stderr=subprocess.DEVNULL).returncode:
        return f"python's {client['python']}"
    for package in client.get("r", []):
        if subprocess.run(["Rscript", "-e", f"library({package})"], capture_output=True).returncode:
            return f"R's {package}"
    return None


def build(client, words):
    """Build a client and run its own tests; its driver's command, or None when that failed."""
    for kind in ("build", "test"):
        if kind in client:
            command = client[kind].format(**words)
            done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                print(f"FAILED  {client['name']:12} {kind}: {command}\n{done.stdout}", flush=True)
                return None
    return client["driver"].format(**words)


def own_clients(folder, only, runner):
    """(name, driver command) of each client that can run here."""
    words = {"clients": str(HERE.parent.resolve()), "build": str(folder.resolve()), "python": sys.executable,
             "server": str(pathlib.Path(runner.program).resolve())}
    for client in json.loads((HERE / "clients.json").read_text()):
        if only not in (None, client["name"]):
            continue
        lacking = missing(client, words)
        if lacking:
            runner.skipped += 1
            print(f"skipped {client['name']:12} {lacking} is not here", flush=True)
            continue
        command = build(client, words)
        if command:
            yield client["name"], command
        else:
            runner.failed += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--build", default="build/clients", help="where clients are built (build/clients)")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--case", help="only this case")
    parser.add_argument("--client", help="only this client")
    parser.add_argument("given", nargs="*", metavar="NAME=COMMAND")
    options = parser.parse_args()
    runner = Runner(options.server, options.record)
    given = [client.partition("=")[::2] for client in options.given]
    for name, command in given or own_clients(pathlib.Path(options.build), options.client, runner):
        for path in sorted(HERE.glob("cases/*.json")):
            if options.case in (None, path.stem):
                runner.case(path, name, command)
    print(f"{runner.passed} passed, {runner.failed} failed" + (f", {runner.skipped} skipped" if runner.skipped else ""))
    sys.exit(runner.failed > 0 or runner.passed == 0)


if __name__ == "__main__":
    main()
