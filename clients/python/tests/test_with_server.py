"""The parts of the client that the conformance cases do not reach, against a real server."""

import importlib.util
import threading
import unittest

import numpy as np

import descent
from server import WithServer


class Sessions(WithServer):
    def test_any_array_will_do(self):
        grad = np.arange(12, dtype=np.float64).reshape(3, 4)
        with self.client.session("adam-fast", coordinates=12) as a, self.client.session("adam-fast", coordinates=12) as b:
            strided = np.repeat(grad, 2, axis=1)[:, ::2]
            self.assertEqual(a.update(strided).tobytes(), b.update(grad.astype("<f4")).tobytes())
            out = np.empty(12, "<f4")
            self.assertIs(a.update(grad, out=out), out)
            self.assertEqual(out.tobytes(), b.update(list(range(12))).tobytes())

    def test_a_block_that_ends_deletes_and_one_that_breaks_keeps(self):
        with self.client.session("adam-fast", coordinates=1) as session:
            pass
        with self.assertRaises(descent.ApiError) as caught:
            self.client.resume(session.id)
        self.assertEqual((caught.exception.code, caught.exception.status), ("not_found", 404))
        with self.assertRaises(KeyError):
            with self.client.session("adam-fast", coordinates=1) as session:
                session.update([1.0])
                raise KeyError
        self.assertEqual(self.client.resume(session.id).step, 1)

    def test_lists_are_whole(self):
        made = {self.client.session("adam-fast", coordinates=1).id for _ in range(5)}
        self.assertLessEqual(made, {info["id"] for info in self.client.sessions()})

    def test_threads_share_a_client(self):
        def play():
            with self.client.session("adam-fast", coordinates=3) as session:
                for _ in range(20):
                    session.update([1.0, 2.0, 3.0])
                steps.append(session.step)

        steps = []
        threads = [threading.Thread(target=play) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(steps, [20] * 8)


def rosenbrock(x, a=1.0):
    value = (a - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    return value, np.array([-2 * (a - x[0]) - 400 * x[0] * (x[1] - x[0] ** 2), 200 * (x[1] - x[0] ** 2)])


class Minimize(WithServer):
    def test_rosenbrock(self):
        result = descent.minimize(rosenbrock, [-1.0, 1.0], optimizer="adam-fast", steps=600, client=self.client)
        self.assertTrue(result.success)
        self.assertEqual((result.nit, result.nfev), (600, 601))
        self.assertLess(result.fun, 0.01)
        np.testing.assert_allclose(result.fun, rosenbrock(result.x)[0])

    def test_why_it_ends(self):
        ask = dict(optimizer="adam-fast", client=self.client)
        at_minimum = descent.minimize(rosenbrock, [1.0, 1.0], gtol=1e-9, **ask)
        self.assertEqual((at_minimum.nit, at_minimum.success), (0, True))
        stopped = descent.minimize(rosenbrock, [0.0, 0.0], callback=lambda x: True, **ask)
        self.assertEqual(stopped.nit, 1)
        broken = descent.minimize(lambda x: (np.nan, x), [0.0], **ask)
        self.assertFalse(broken.success)

    def test_separate_gradient(self):
        result = descent.minimize(lambda x: float(x @ x), [3.0, 4.0], jac=lambda x: 2 * x, optimizer="adam-fast", steps=300,
                                  client=self.client)
        self.assertLess(result.fun, 1e-3)


@unittest.skipUnless(importlib.util.find_spec("torch"), "PyTorch is not here")
class Torch(WithServer):
    def train(self, make, steps):
        import torch

        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        inputs = torch.randn(32, 4)
        targets = inputs.sum(1, keepdim=True)
        optimizer = make(model)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = ((model(inputs) - targets) ** 2).mean()
            loss.backward()
            optimizer.step()
        return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy(), optimizer

    def test_follows_torchs_own_adam(self):
        import torch

        from descent.torch import DescentOptimizer

        ours, _ = self.train(lambda m: DescentOptimizer(m.parameters(), "adam-fast", client=self.client), 50)
        theirs, _ = self.train(lambda m: torch.optim.Adam(m.parameters(), lr=0.05), 50)
        np.testing.assert_allclose(ours, theirs, atol=2e-5)

    def test_saved_and_loaded_it_goes_on_to_the_bit(self):
        import io

        import torch

        from descent.torch import DescentOptimizer

        def steps(parameter, optimizer, count):
            for _ in range(count):
                optimizer.zero_grad()
                (parameter**4).sum().backward()
                optimizer.step()

        parameter = torch.nn.Parameter(torch.linspace(1, 2, 5))
        optimizer = DescentOptimizer([parameter], "adam-fast", client=self.client)
        steps(parameter, optimizer, 5)
        file = io.BytesIO()
        torch.save({"parameter": parameter.detach(), "optimizer": optimizer.state_dict()}, file)
        steps(parameter, optimizer, 5)
        for _ in range(2):  # more than once
            file.seek(0)
            saved = torch.load(file)
            again = torch.nn.Parameter(saved["parameter"].clone())
            resumed = DescentOptimizer([again], "adam-fast", client=self.client)
            resumed.load_state_dict(saved["optimizer"])
            steps(again, resumed, 5)
            self.assertTrue(torch.equal(again, parameter))

    def test_closure_and_missing_gradients(self):
        import torch

        from descent.torch import DescentOptimizer

        used, unused = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2))
        optimizer = DescentOptimizer([used, unused], "adam-fast", client=self.client)

        def closure():
            optimizer.zero_grad()
            loss = (used**2).sum()
            loss.backward()
            return loss

        self.assertEqual(float(optimizer.step(closure)), 3.0)
        np.testing.assert_allclose(used.detach().numpy(), 0.95, rtol=1e-6)
        np.testing.assert_allclose(unused.detach().numpy(), 1.0)


@unittest.skipUnless(importlib.util.find_spec("optax"), "Optax is not here")
class Optax(WithServer):
    def test_inside_jit(self):
        import jax
        import jax.numpy as jnp
        import optax

        from descent.optax import descent as transformation

        def train(optimizer):
            params = {"w": jnp.ones(3), "b": jnp.zeros(2)}
            state = optimizer.init(params)

            @jax.jit
            def step(params, state):
                grads = jax.grad(lambda p: ((p["w"] - 2) ** 2).sum() + ((p["b"] + 1) ** 2).sum())(params)
                updates, state = optimizer.update(grads, state, params)
                return optax.apply_updates(params, updates), state

            for _ in range(30):
                params, state = step(params, state)
            return np.concatenate([params["w"], params["b"]]), state

        ours, state = train(transformation("adam-fast", client=self.client))
        theirs, _ = train(optax.adam(0.05))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        self.assertEqual(int(state.step), 30)


if __name__ == "__main__":
    unittest.main()
