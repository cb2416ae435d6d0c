"""A network in PyTorch and in polyact: exact and swapped logits, what is counted, what is claimed of the sites."""

import collections
import copy
import json
import math
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from site_evaluation import Call, Composition, Sites, Swap

# Of the largest logit.
TOLERANCE = 1e-4
# Seconds in which an answer must come.
PATIENCE = 60


@dataclass
class Network:
    """A module, how it becomes an archive, and what it is run on."""

    name: str
    module: nn.Module
    scripted: bool
    images: Tensor
    source: str = ""
    # Whether every site runs once, in the order of the text.
    flat: bool = True


@dataclass
class Problem:
    kind: str
    detail: str


class Discarded(Exception):
    """PyTorch refuses the network, or its result depends on rounding."""


class Polyact:
    """The other end of the pipe."""

    def ask(self, question: dict) -> dict:
        print(json.dumps({"ask": question}), flush=True)
        signal.alarm(PATIENCE)
        answer = sys.stdin.readline()
        signal.alarm(0)
        if not answer:
            raise SystemExit("polyact died")
        return json.loads(answer)


class Comparison:
    """Compares networks one after the other."""

    def __init__(self, folder: str, design: str, alpha: int):
        self.folder, self.composition = Path(folder), Composition(design, alpha)
        self.polyact = Polyact()
        # How often what could not be compared.
        self.left_out = collections.Counter()

    @torch.no_grad()
    def problems(self, network: Network) -> list[Problem]:
        x = network.images
        exact, calls = self.run(network, x)
        self.check_rounding(network, exact)
        self.save(network)
        ranges = {kind: bound(calls, kind, 1.5) for kind in ("relu", "maxpool")}
        narrow = {kind: bound(calls, kind, 0.4) for kind in ("relu", "maxpool")}
        count = len(x)
        passes = [
            {"what": "exact", "count": count},
            {"what": "swapped", "count": count, **ranges},
            {"what": "exact", "count": 1},
            {"what": "clipped", "count": count, **narrow},
            {"what": "exact", "count": count, "threads": 2},
            {"what": "observed", "count": count},
        ]
        question = {"network": network.name, "archive": str(self.archive), "images": str(self.input)}
        answer = self.polyact.ask({**question, "shape": list(x.shape), "passes": passes})
        if "error" in answer:
            return [Problem("error", answer["error"])]
        found = [*self.of_sites(network, answer["sites"], calls)]
        # Where every site is listed and runs once, what it counts is its own.
        matched = network.flat and [site["kind"] for site in answer["sites"]] == [call.kind for call in calls]
        claims = self.claims(answer["sites"], calls)
        if claims is None:
            self.left_out["padded pools of which several run, or none"] += 1
            return found
        swapped, clipped = (
            self.run(network, x, Swap(self.composition, on, claims, clip))
            for on, clip in ((ranges, False), (narrow, True))
        )
        logits, approximate, alone, cut, again, observed = answer["passes"]
        found += off("exact logits", logits, exact)
        found += self.of_one_image(network, alone)
        found += off("exact logits, once more", again, exact)
        found += off("exact logits, observed", observed, exact)
        if any(call.outside for call in swapped[1]):
            self.left_out["a swapped pass that leaves its ranges"] += 1
        else:
            found += self.off(
                "swapped logits", approximate, swapped[0], network, Swap(self.composition, ranges, claims)
            )
            found += [Problem("counts", f"nothing is outside, counted {n}")] if (n := total(approximate)) else []
        found += self.off("clipped logits", cut, clipped[0], network, Swap(self.composition, narrow, claims, True))
        found += self.of_counts(cut, clipped[1], matched)
        if matched:
            found += self.of_images(network, cut, narrow, claims)
            found += self.of_extremes(observed, calls)
        return found

    def run(self, network: Network, x: Tensor, swap: Swap | None = None) -> tuple[Tensor, list[Call]]:
        try:
            with Sites(swap) as sites:
                logits = network.module(x.clone())
        except (RuntimeError, IndexError, ValueError, NameError, AttributeError) as error:
            raise Discarded(f"PyTorch: {first_line(error)}") from error
        if not logits.isfinite().all():
            raise Discarded("values that are not finite")
        return logits, sites.calls

    def off(self, kind: str, answer: dict, expected: Tensor, network: Network, swap: Swap) -> list[Problem]:
        """As off(), but for what depends on rounding once it is swapped, such as a condition on values."""
        problems = off(kind, answer, expected)
        if problems and not close(self.run(network, with_noise(network.images), swap)[0], expected, TOLERANCE):
            self.left_out["a swapped result that depends on rounding"] += 1
            return []
        return problems

    def check_rounding(self, network: Network, exact: Tensor) -> None:
        """float64, or a little noise where that changes layouts or branches, must give the same."""
        try:
            other = copy.deepcopy(network.module).double()(network.images.double()).float()
        except RuntimeError:
            other = exact + torch.inf
        if not close(other, exact, TOLERANCE / 4):
            self.left_out["another result in float64"] += 1
            other = network.module(with_noise(network.images))
        if not close(other, exact, TOLERANCE / 4):
            raise Discarded("a result that depends on rounding")

    def save(self, network: Network) -> None:
        self.archive, self.input = self.folder / "network.pt", self.folder / "images.bin"
        network.images.numpy().tofile(self.input)
        (self.folder / "network.py").write_text(network.source)
        try:
            if network.scripted:
                archive = torch.jit.script(network.module)
            else:
                archive = torch.jit.trace(network.module, network.images.clone(), check_trace=False)
        except (RuntimeError, TypeError) as error:
            raise Discarded(f"TorchScript: {first_line(error)}") from error
        archive.save(str(self.archive))

    def of_sites(self, network: Network, sites: list[dict], calls: list[Call]):
        listed, ran = [site["kind"] for site in sites], [call.kind for call in calls]
        rest = iter(ran)
        if network.flat and listed != ran:
            # What nothing reads is not there.
            self.left_out["sites that are not in the graph"] += 1
            if not all(kind in rest for kind in listed):
                yield Problem("sites", f"listed {listed}, ran {ran}")
        pools = [call for call in calls if call.may_pad]
        for claim, pool in zip(self.claims(sites, calls) or [], pools):
            if claim and pool.smallest < 0:
                yield Problem("padding", f"a max-pool is said to get nothing below zero, and gets {pool.smallest}")

    def claims(self, sites: list[dict], calls: list[Call]) -> list[bool] | None:
        """Of each call of a padded pool, whether its input is said to be non-negative; none where that is not clear."""
        claims = [site["non_negative"] for site in sites if site["may_pad"]]
        count = sum(call.may_pad for call in calls)
        if len(claims) == count:
            return claims
        return claims[:1] * count if len(set(claims)) == 1 else None

    def of_one_image(self, network: Network, answer: dict) -> list[Problem]:
        try:
            return off("exact logits of one image", answer, self.run(network, network.images[:1])[0])
        except Discarded:
            self.left_out["one image, which PyTorch refuses"] += 1
            return []

    def of_counts(self, counted: dict, calls: list[Call], matched: bool):
        if "error" in counted:
            return
        for at, (count, call) in enumerate(zip(counted["counts"], calls) if matched else []):
            if abs(count["values"] - call.outside) > call.undecided:
                yield Problem("counts", f"site {at}: {count['values']} counted, {call.outside} outside")
        expected, slack = (sum(getattr(call, of) for call in calls) for of in ("outside", "undecided"))
        if total(counted) > expected + slack:
            yield Problem("counts", f"{total(counted)} counted, {expected} outside")

    def of_images(self, network: Network, counted: dict, ranges: dict, claims: list[bool]):
        """Where images do not meet, each alone must leave the ranges at the sites that name it."""
        if "error" in counted:
            return
        swap = Swap(self.composition, ranges, claims, True)
        together, calls = self.run(network, network.images, swap)
        try:
            alone = [self.run(network, x, swap) for x in network.images.split(1)]
        except Discarded:
            return
        if not close(torch.cat([logits for logits, _ in alone]), together, TOLERANCE):
            self.left_out["images that meet"] += 1
            return
        for at, count in enumerate(counted["counts"]):
            sites = [calls[at] for _, calls in alone]
            if sum(site.outside for site in sites) != calls[at].outside or any(site.undecided for site in sites):
                continue
            if count["unattributed"]:
                self.left_out["sites whose images polyact cannot tell"] += 1
                if count["unattributed"] != count["values"]:
                    yield Problem("images", f"site {at}: {count['unattributed']} of {count['values']} without image")
                continue
            expected = [image for image, site in enumerate(sites) if site.outside]
            if sorted(int(image) for image in count["images"]) != expected:
                yield Problem("images", f"site {at}: images {count['images']}, but {expected} leave the range")
                continue
            for image in expected:
                worst = max(-sites[image].smallest, sites[image].largest)
                if abs(count["images"][str(image)] - worst) > 1e-3 * worst:
                    yield Problem(
                        "images", f"site {at}, image {image}: {count['images'][str(image)]}, expected {worst}"
                    )

    def of_extremes(self, observed: dict, calls: list[Call]):
        if "error" in observed:
            return
        for at, ((smallest, largest), call) in enumerate(zip(observed["extremes"], calls)):
            room = 1e-4 * max(-call.smallest, call.largest) + 1e-6
            if abs(smallest - call.smallest) > room or abs(largest - call.largest) > room:
                yield Problem(
                    "extremes", f"site {at}: [{smallest}, {largest}], expected [{call.smallest}, {call.largest}]"
                )

    @torch.no_grad()
    def agrees_with_its_archive(self, network: Network) -> bool:
        """Whether PyTorch's own runs of the archive, of all images and of one, give what the module gives."""
        archive = torch.jit.load(str(self.archive))
        try:
            pairs = [(archive(x.clone()), network.module(x.clone())) for x in (network.images, network.images[:1])]
        except (RuntimeError, ValueError, IndexError):
            return False
        return all(close(run, expected, TOLERANCE) for run, expected in pairs)


def bound(calls: list[Call], kind: str, share: float) -> float:
    """So much of the largest input of any ReLU, or of any max-pool."""
    of_kind = [call for call in calls if (call.kind == "maxpool") == (kind == "maxpool")]
    return share * max([max(-call.smallest, call.largest) for call in of_kind] + [0.1])


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * b.abs().max())


def with_noise(images: Tensor) -> Tensor:
    return images * (1 + 1e-6 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0)))


def off(kind: str, answer: dict, expected: Tensor) -> list[Problem]:
    if "error" in answer:
        return [Problem(f"error, {kind}", answer["error"])]
    # JSON has no word for what is not a number.
    got = torch.tensor([[math.nan if logit is None else logit for logit in row] for row in answer["logits"]])
    if got.shape == expected.shape and close(got, expected, TOLERANCE):
        return []
    return [Problem(kind, f"expected {short(expected)}, got {short(got)}")]


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:100]


def short(logits: Tensor) -> list:
    return [[round(value, 4) for value in row] for row in logits.tolist()]


def total(answer: dict) -> int:
    return sum(count["values"] for count in answer.get("counts", []))
