"""Random small classifiers as Python source text, and how they get smaller.

A program is a list of steps. A step has a few lines of `forward`, the layers that these use, and the names of what they
define; the generator runs each step on an example as it draws it, so that shapes fit and PyTorch has accepted it. The
head reads values at the end, among them those that nothing else reads: a linear layer each, summed to the logits.
"""

import linecache
import os
import random
import re
import zlib
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 5
IMAGES = 3
# Beyond this size a value is not used: the polynomials of the test keep a few digits less than it.
LARGEST = 40.0


# What steps are drawn from.
OPERATORS = []


class Rejected(Exception):
    """The operator does not fit what is there."""


def operator(weight: float):
    """Of a function that writes a step, how often it is drawn."""

    def register(function):
        function.weight = weight
        OPERATORS.append(function)
        return function

    return register


@dataclass
class Step:
    operator: str
    lines: list[str]
    layers: dict[str, str] = field(default_factory=dict)
    methods: list[str] = field(default_factory=list)
    defines: list[str] = field(default_factory=list)

    def uses(self) -> set[str]:
        return set(re.findall(r"\bv\d+\b", "\n".join(self.lines))) - set(self.defines)

    def renamed(self, name: str, other: str) -> "Step":
        return replace(self, lines=[re.sub(rf"\b{name}\b", other, line) for line in self.lines])


@dataclass
class Program:
    shape: tuple[int, int, int]
    steps: list[Step]
    # What the head reads, and the line with which it does.
    observed: dict[str, Step]
    scripted: bool
    seed: int

    def source(self) -> str:
        """The module `Network`."""
        steps = [*self.steps, *self.observed.values()]
        layers = {name: layer for step in steps for name, layer in step.layers.items()}
        lines = ["n = x.size(0)", *(line for step in steps for line in step.lines)]
        lines.append("return " + " + ".join(f"h_{name}" for name in self.observed))
        inside = lambda lines: "\n".join(f"        {line}" for line in lines)
        methods = "".join(f"\n{method}" for step in steps for method in step.methods)
        return (
            "class Network(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            + inside(f"self.{name} = {layer}" for name, layer in layers.items())
            + f"\n{methods}\n    def forward(self, x: Tensor) -> Tensor:\n{inside(lines)}\n"
        )

    def images(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn((IMAGES, *self.shape), generator=generator)

    def smaller(self):
        """Programs with less in them, the smallest first."""
        for name in self.observed:
            if len(self.observed) > 1:
                yield replace(self, observed={name: self.observed[name]})
        for at in reversed(range(len(self.steps))):
            yield self.without(at)
            for other in sorted(self.steps[at].uses() | {"x"}):
                if len(self.steps[at].defines) == 1:
                    yield self.bypassing(at, other)
        for name in self.observed:
            if len(self.observed) > 1:
                yield replace(self, observed={kept: line for kept, line in self.observed.items() if kept != name})

    def without(self, at: int) -> "Program":
        """Without a step and all that needs it."""
        gone, kept = set(self.steps[at].defines), []
        for step in self.steps[:at] + self.steps[at + 1 :]:
            if step.uses() & gone:
                gone |= set(step.defines)
            else:
                kept.append(step)
        return replace(
            self, steps=kept, observed={name: step for name, step in self.observed.items() if name not in gone}
        )

    def bypassing(self, at: int, other: str) -> "Program":
        """Without a step; who needs what it defines takes `other`."""
        (name,) = self.steps[at].defines
        later = [step.renamed(name, other) for step in self.steps[at + 1 :]]
        observed = {kept: step for kept, step in self.observed.items() if kept != name}
        return replace(self, steps=self.steps[:at] + later, observed=observed)


def build(source: str, name: str = "network") -> nn.Module:
    """The network of a source text; its weights depend on the names of its layers alone."""
    # Where torch.jit.script finds it.
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    scope = {"torch": torch, "nn": nn, "F": F, "Tensor": Tensor, "__name__": name}
    exec("from typing import Dict, List, Optional, Tuple", scope)
    exec(compile(source, name, "exec", dont_inherit=True), scope)
    return with_weights(scope["Network"]()).eval()


@torch.no_grad()
def with_weights(module: nn.Module) -> nn.Module:
    for name, weights in module.state_dict(keep_vars=True).items():
        if not weights.is_floating_point():
            continue
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        values = torch.randn(weights.shape, generator=generator)
        if weights.dim() > 1:
            values *= 1.5 / max(weights[0].numel(), 1) ** 0.5
        elif name.endswith("running_var"):
            values = values.abs() + 0.5
        elif name.endswith("weight"):
            values = 1 + 0.3 * values
        else:
            values *= 0.3
        weights.copy_(values)
        weights.requires_grad_(False)
    return module


class Builder:
    """Draws the steps of a program and runs them on an example."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        without = os.environ.get("DIFFERENTIAL_WITHOUT", "").split(",")
        self.operators = [operator for operator in OPERATORS if operator.__name__ not in without]
        self.scripted = self.random.random() < 0.6
        shape = (self.random.choice([1, 3, 3, 4]), self.random.choice([8, 9, 12]), self.random.choice([8, 11, 12]))
        self.program = Program(shape, [], {}, self.scripted, seed)
        self.module = nn.Module()
        self.scope = {"torch": torch, "nn": nn, "F": F, "self": self.module, "x": self.program.images(), "n": IMAGES}
        self.names = ["x"]
        self.count = 0
        self.step = Step("", [])

    def build(self) -> Program:
        with torch.no_grad():
            for _ in range(self.random.randint(4, 12)):
                self.add_step()
            self.add_head()
        return self.program

    def add_step(self) -> None:
        for _ in range(20):
            operator = self.random.choices(self.operators, [operator.weight for operator in self.operators])[0]
            names = list(self.names)
            self.step = Step(operator.__name__, [])
            try:
                operator(self)
                self.check()
            except (Rejected, RuntimeError, IndexError, ValueError):
                self.names = names
                continue
            self.program.steps.append(self.step)
            return

    def check(self) -> None:
        for name in [*self.step.defines, *self.step.uses()]:
            value = self.scope[name]
            if not isinstance(value, Tensor) or value.numel() == 0 or value.numel() > 20000:
                raise Rejected
            if not value.isfinite().all() or value.abs().max() > LARGEST:
                raise Rejected

    def add_head(self) -> None:
        # What nothing reads, or is last written to or read together with something that is.
        last = {name: step for step in self.program.steps for name in step.uses()}
        for name in self.names:
            if name not in last or not last[name].defines or self.chance(0.3):
                self.program.observed[name] = self.reading(name)

    def reading(self, name: str) -> Step:
        value, cast = self.scope[name], "" if self.scope[name].dtype == torch.float32 else ".to(torch.float32)"
        if value.dim() == 0 or value.numel() % IMAGES:
            return Step("head", [f"h_{name} = 0.1 * {name}{cast}.mean() + x.new_zeros(n, {CLASSES})"])
        shape = "view" if value.is_contiguous() and self.chance(0.5) else "reshape"
        features = value.numel() // IMAGES
        return Step(
            "head",
            [f"h_{name} = self.head_{name}({name}{cast}.{shape}(n, {features}))"],
            {f"head_{name}": f"nn.Linear({features}, {CLASSES})"},
        )

    # What operators are written with.

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def choice(self, values):
        return self.random.choice(values)

    def pick(self, rank: int | None = None, fits=lambda value: True) -> str:
        """A value of this rank, the last ones more often."""
        fitting = [name for name in self.names if rank in (None, self.scope[name].dim()) and fits(self.scope[name])]
        if not fitting:
            raise Rejected
        return fitting[max(0, len(fitting) - 1 - int(self.random.expovariate(0.7)))]

    def value(self, name: str) -> Tensor:
        return self.scope[name]

    def layer(self, expression: str, kind: str = "layer") -> str:
        self.count += 1
        name = f"{kind}{self.count}"
        layer = eval(expression, self.scope)
        setattr(self.module, name, with_weights(layer).eval())
        self.step.layers[name] = expression
        return f"self.{name}"

    def line(self, text: str) -> None:
        exec(text, self.scope)
        self.step.lines.append(text)

    def lines(self, text: str) -> None:
        """Several, indented as they are."""
        exec(text, self.scope)
        self.step.lines.extend(text.splitlines())

    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def define(self, expression: str) -> str:
        """A new value."""
        name = self.fresh()
        self.line(f"{name} = {expression}")
        self.defined(name)
        return name

    def defined(self, *names: str) -> None:
        self.step.defines.extend(names)
        self.names.extend(names)

    def method(self, lines: list[str], parameters: str = "v: Tensor", gives: str = "Tensor") -> str:
        """A method of the network."""
        self.count += 1
        name = f"block{self.count}"
        body = "\n".join(f"        {line}" for line in lines)
        self.step.methods.append(f"    def {name}(self, {parameters}) -> {gives}:\n{body}\n")
        text = f"def {name}(self, {parameters}):\n" + "\n".join(f"    {line}" for line in lines)
        scope = dict(self.scope, Tensor=Tensor)
        exec(text, scope)
        setattr(self.module, name, scope[name].__get__(self.module))
        return f"self.{name}"

    def written(self, rank: int | None = None) -> str:
        """A value of which no two places share memory."""
        return self.pick(rank, self.may_be_written)

    def may_be_written(self, value: Tensor) -> bool:
        return places(value).unique().numel() == value.numel()

    def apart(self, name: str, target: str) -> str:
        """`name`, or a copy where writing to `target` would change what is read from it on the way."""
        a, b = self.scope[name], eval(target, self.scope)
        if a.untyped_storage().data_ptr() != b.untyped_storage().data_ptr():
            return name
        same = a.shape == b.shape and a.stride() == b.stride() and a.data_ptr() == b.data_ptr()
        disjoint = not torch.isin(places(a), places(b)).any()
        return name if same or disjoint else f"{name}.clone()"


def places(value: Tensor) -> Tensor:
    """Where in its storage the elements of a value are."""
    size = value.untyped_storage().nbytes() // value.element_size()
    return torch.arange(size).as_strided(value.shape, value.stride(), value.storage_offset()).flatten()
