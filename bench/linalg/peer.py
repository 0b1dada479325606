"""What a user would pick instead: the same work in scipy (LAPACK, float32) or PyTorch.

    python3 peer.py scipy|torch [--device cpu|cuda] [--threads N]

Reads one question a line, answers one line each, so that a bench can take turns with it:

    {"op": "eigh", "n": 256, "batch": 1, "repeats": 5}  ->  {"ms": [..], "residual": 5e-7}

Matrices are those of matrices.ts in kind: A = X^T X / 2n + 1e-3 I, X [2n, n] standard normal, the factor of a layer. scipy is
used because numpy.linalg computes float32 input in float64.
"""
import argparse
import json
import sys
import time


class Scipy:
    def __init__(self, options):
        import numpy
        import scipy.linalg
        from scipy.linalg import lapack

        self.np, self.linalg, self.lapack = numpy, scipy.linalg, lapack
        self.version = "scipy " + scipy.__version__

    def factor(self, n, seed):
        np = self.np
        x = np.random.default_rng(seed).standard_normal((2 * n, n)).astype(np.float32)
        return np.asfortranarray(x.T @ x / (2 * n) + 1e-3 * np.eye(n, dtype=np.float32))

    def eigh(self, a):
        return self.linalg.eigh(a, driver="evd", check_finite=False)

    def inverse(self, a):
        lower, _ = self.lapack.spotrf(a, lower=1)
        inverse, _ = self.lapack.spotri(lower, lower=1)
        return self.np.tril(inverse) + self.np.tril(inverse, -1).T

    def matmul(self, a):
        return a @ a

    def norm(self, x):
        return float(self.np.linalg.norm(x))

    def eye(self, n):
        return self.np.eye(n, dtype=self.np.float32)

    def wait(self):
        pass


class Torch:
    def __init__(self, options):
        import torch

        torch.set_num_threads(options.threads)
        torch.backends.cuda.matmul.allow_tf32 = False
        self.torch, self.device = torch, torch.device(options.device)
        torch.zeros(1, device=self.device)  # where there is no such device, it ends here
        self.version = "torch " + torch.__version__

    def factor(self, n, seed):
        torch = self.torch
        x = torch.randn(2 * n, n, generator=torch.Generator().manual_seed(seed)).to(self.device)
        return x.T @ x / (2 * n) + 1e-3 * self.eye(n)

    def eigh(self, a):
        return self.torch.linalg.eigh(a)

    def inverse(self, a):
        return self.torch.cholesky_inverse(self.torch.linalg.cholesky(a))

    def matmul(self, a):
        return a @ a

    def norm(self, x):
        return float(self.torch.linalg.norm(x.double()))

    def eye(self, n):
        return self.torch.eye(n, device=self.device)

    def wait(self):
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()


def answer(peer, op, n, batch, repeats):
    run = getattr(peer, op)
    factors = [peer.factor(n, n + i) for i in range(batch)]
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        results = [run(a) for a in factors]
        peer.wait()
        times.append((time.perf_counter() - start) * 1e3)
    return {"ms": times[1:], "residual": residual(peer, op, factors[0], results[0])}


def residual(peer, op, a, result):
    if op == "eigh":
        values, vectors = result
        return peer.norm(a @ vectors - vectors * values) / peer.norm(a)
    if op == "inverse":
        return peer.norm(a @ result - peer.eye(len(a))) / len(a) ** 0.5
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=["scipy", "torch"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    peer = {"scipy": Scipy, "torch": Torch}[options.peer](options)
    print(json.dumps({"version": peer.version}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(peer, **json.loads(line))), flush=True)


main()
