"""The conformance driver of the Python client: JSON commands in, JSON answers out (see ../conformance/README.md)."""

import base64
import hashlib
import json
import sys

import numpy as np

import descent


def floats(words):
    return np.array([int(word, 16) for word in words], dtype="<u4").view("<f4")


def words(array):
    return [f"{word:08x}" for word in array.view("<u4").reshape(-1)]


class Driver:
    def __init__(self):
        self.client = descent.Client()
        self.session = None

    def answer(self):
        return {"session": self.session.id, "step": self.session.step, "coordinates": self.session.coordinates}

    def create(self, settings):
        self.session = self.client.session(**settings)
        return self.answer()

    def resume(self):
        self.session = self.client.resume(self.session.id)
        return self.answer()

    def update(self, gradient, loss=None, step=None):
        if step is not None:
            self.session.step = step
        update = self.session.update(floats(gradient), loss=loss)
        return {"update": words(update), "step": self.session.step, "replayed": self.session.replayed}

    def reset(self):
        self.session.reset()
        return self.answer()

    def checkpoint(self, name):
        self.session.checkpoint(name)
        return {}

    def restore(self, checkpoint):
        self.session.restore(checkpoint)
        return self.answer()

    def fork(self, checkpoint=None):
        self.session = self.session.fork(checkpoint)
        return self.answer()

    def delete(self):
        self.session.delete()
        return {}

    def create_optimizer(self, name, family, config=None):
        made = self.client.create_optimizer(name, family, config)
        return {"name": made["name"], "latest_version": made["latest_version"]}

    def optimizers(self):
        return {"names": sorted(item["name"] for item in self.client.optimizers())}

    def upload(self, name, file):
        return {"version": self.client.upload(name, base64.b64decode(file))["version"]}

    def download(self, name, version):
        return {"sha256": hashlib.sha256(self.client.download(name, version)).hexdigest()}

    def run_job(self, spec):
        job = self.client.submit(spec)
        kinds = [event.kind for event in job.events()]
        info = job.info()
        return {"state": info["state"], "first": kinds[0], "last": kinds[-1], "result": info["result"]}


def main():
    driver = Driver()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(driver, command.pop("op"))(**command)
        except descent.ApiError as error:
            answer = {"error": error.code, "status": error.status}
        except descent.ConnectionFailed:
            answer = {"error": "connection_failed"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
