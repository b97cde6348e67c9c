"""The mixture fit of losses: `fit_gmm` against scikit-learn's ``GaussianMixture``, on the same losses in one process.

Both fit two components to normalised losses and give each sample's posterior; a time is fit and posterior together.
scikit-learn runs twice: as DivideMix's code calls it (10 iterations at most), and to convergence, as `fit_gmm` does;
the posterior is that of the second. The losses are made up, 60 % of them small (exponential, mean 0.1) and 40 % large
(gamma, mean 3.5); none is clipped, since scikit-learn clips none.

    python benchmarks/mixture.py [--save]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
import torch
from _machine import add_save, machine, save
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from noisylearn.selection import fit_gmm

CALLS: dict[str, dict[str, Any]] = {
    "DivideMix's call": {"tol": 1e-2, "max_iter": 10},
    "converged": {"tol": 1e-10, "max_iter": 1000},
}


def made_up_losses(count: int, seed: int) -> torch.Tensor:
    """Return float32 losses of a data set with 40 % wrong labels, in random order."""
    rng = np.random.default_rng(seed)
    losses = np.where(rng.random(count) < 0.6, rng.exponential(0.1, count), rng.gamma(5, 0.7, count))
    return torch.from_numpy(losses).float()


def scikit_learn(losses: torch.Tensor, **arguments: Any) -> tuple[npt.NDArray[np.float64], int]:
    """Return the posterior of the lower mean, and the number of iterations."""
    x = losses.double().numpy()
    x = ((x - x.min()) / (x.max() - x.min())).reshape(-1, 1)
    mixture = GaussianMixture(2, reg_covar=5e-4, random_state=0, **arguments).fit(x)
    return mixture.predict_proba(x)[:, mixture.means_.ravel().argmin()], mixture.n_iter_


def timed(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median seconds of ``repeats`` calls, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def main() -> None:
    """Time both and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--num-losses", type=int, nargs="+", default=[50_000, 1_000_000, 10_000_000])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5, help="of fit_gmm; scikit-learn runs once")
    parser.add_argument("--threads", type=int, default=1, help="of both sides; more than idle cores slow them down")
    add_save(parser)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    threadpool_limits(args.threads)
    print(f"{', '.join(machine().values())}, scikit-learn {sklearn.__version__}")
    results: list[dict[str, object]] = []
    for call in (lambda x: fit_gmm(x).posterior(x), scikit_learn):
        call(made_up_losses(1000, args.seed))  # what a first call loads is not in the times
    for count in args.num_losses:
        losses = made_up_losses(count, args.seed)
        fit_s, fit = timed(lambda x=losses: fit_gmm(x, clip=0), args.repeats)
        posterior_s, posterior = timed(lambda x=losses, f=fit: f.posterior(x), args.repeats)
        ours_s = fit_s + posterior_s
        print(f"\n{count:,} losses")
        print(f"  fit_gmm           {ours_s:10.4f} s   (fit {fit_s:.4f}, posterior {posterior_s:.4f})")
        for name, arguments in CALLS.items():
            seconds, (theirs, iterations) = timed(lambda x=losses, a=arguments: scikit_learn(x, **a), 1)
            difference = np.abs(posterior.numpy() - theirs).max()
            print(f"  {name:17} {seconds:10.4f} s   {iterations} iterations", end="")
            print(f"   ratio {seconds / ours_s:7.1f}   largest difference of the posterior {difference:.1e}")
            row = {"losses": count, "peer": name, "scikit_learn": sklearn.__version__, "iterations": iterations}
            row |= {"peer_s": f"{seconds:.4f}", "fit_gmm_s": f"{ours_s:.4f}", "ratio": f"{seconds / ours_s:.1f}"}
            results.append(row | {"posterior_difference": f"{difference:.1e}"})
    if args.save:
        save(__file__, results)


if __name__ == "__main__":
    main()
