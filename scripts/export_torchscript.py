#!/usr/bin/env python3
"""Export a trained classifier as TorchScript, with its preprocessing inside the archive.

    scripts/export_torchscript.py resnet50 --weights IMAGENET1K_V1 -o weights/resnet50.pt     from torchvision, by network
    scripts/export_torchscript.py resnet50 --weights resnet50.pth -o weights/resnet50.pt      from a state_dict or checkpoint
    scripts/export_torchscript.py resnet50 --random -o weights/resnet50.pt                    random weights
    scripts/export_torchscript.py my.py:build --weights my.pth -o weights/my.pt               a network of your own
    scripts/export_torchscript.py cifar_resnet20 --weights resnet20.th -o weights/cifar.pt    a CIFAR network

NAME is a classifier of torchvision, cifar_resnet20, 32, 44, 56 or 110, cifar_vgg11_bn, 13, 16 or 19, or FILE.py:CALLABLE,
where CALLABLE() returns the nn.Module. Checkpoints hold the state_dict itself or under state_dict, model, net or
model_state_dict; a prefix `module.` is dropped. A file for inception_v3 or googlenet is taken to expect inputs as
torchvision's own weights do (transform_input).

The extra file `preprocess.json` holds input_size, classes, mean, std, resize, crop and interpolation: those of the
torchvision weights, of the CIFAR training images, or of the options. The archive is loaded again and must give the
module's own logits.
"""

import argparse
import contextlib
import difflib
import hashlib
import http.client
import importlib.util
import json
import math
import os
import pickle
import re
import shlex
import sys
import urllib.error
import warnings
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torchvision
from torch import nn

import cifar_networks

# Largest difference of a logit between archive and module, relative to the largest logit.
TOLERANCE = 1e-5
# Keys under which checkpoints keep the state_dict.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
# Keys of each kind that an error lists.
LISTED = 20


class Failure(Exception):
    """What went wrong, in one line; the exit code is 1."""

    code = 1


class Usage(Failure):
    """An argument that cannot be; the exit code is 2."""

    code = 2


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise Usage(f"{message} (--help lists the options)")


@dataclass
class Network:
    """A module in eval mode, how its inputs are prepared unless the options say otherwise, and what the user must know."""

    module: nn.Module
    input_size: tuple[int, int, int] = (3, 224, 224)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize: int | None = None
    crop: int | None = None
    interpolation: str = "bilinear"
    notes: list[str] = field(default_factory=list)


def first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def failing_as(what: str):
    """Turn any error of other people's code into a failure of one line."""
    try:
        yield
    except Failure:
        raise
    except (Exception, SystemExit) as error:
        raise Failure(f"{what}: {first_line(error)}") from error


# --- Arguments


def input_size(text: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError("expected channels, height and width such as 3x224x224")
    return tuple(int(part) for part in text.split("x"))


def positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError("expected a positive whole number")
    return int(text)


def numbers(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError("expected numbers such as 0.485,0.456,0.406")
    return values


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="NAME")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--weights", metavar="W", help="weights of torchvision such as IMAGENET1K_V1, or a file")
    weights.add_argument("--random", action="store_true", help="random weights, batch norms with the statistics of one batch")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights (default: 0)")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.pt")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--trace", action="store_true", help="trace only (default: trace, and script if that fails)")
    way.add_argument("--script", action="store_true", help="script only")
    parser.add_argument("--input-size", type=input_size, metavar="CxHxW")
    parser.add_argument("--resize", type=positive, metavar="N", help="short side that images are resized to")
    parser.add_argument("--crop", type=positive, metavar="N", help="side of the central crop after that")
    parser.add_argument("--interpolation", choices=("bilinear", "bicubic"))
    parser.add_argument("--mean", type=numbers, metavar="M,…", help="one value or one a channel, of pixels in [0, 1]")
    parser.add_argument("--std", type=numbers, metavar="S,…", help="one value or one a channel")
    parser.add_argument("--classes", type=positive, metavar="N", help="number of classes (default: that of the weights)")
    return parser.parse_args(arguments)


# --- Networks


def network(args: argparse.Namespace) -> Network:
    torch.manual_seed(args.seed)
    if ".py:" in args.name:
        return own_network(args)
    known = torchvision.models.list_models(module=torchvision.models)
    if args.name not in known and args.name not in cifar_networks.NAMES:
        close = difflib.get_close_matches(args.name, [*known, *cifar_networks.NAMES], n=3)
        hint = "NAME is a torchvision classifier, a CIFAR network, or FILE.py:CALLABLE"
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        raise Usage(f"no network is named {args.name}: {hint}")
    if args.weights is None and not args.random:
        raise Usage(f"{args.name} needs --weights or --random")
    return cifar_network(args) if args.name in cifar_networks.NAMES else torchvision_network(args)


def torchvision_network(args: argparse.Namespace) -> Network:
    available = torchvision.models.get_model_weights(args.name)
    usual = available.__members__.get("IMAGENET1K_V1") or next(iter(available))
    if args.random:
        options = {"num_classes": args.classes} if args.classes else {}
        return prepared(args, torchvision_module(args, {}, usual, **options), usual)
    if args.weights in available.__members__:
        chosen = available[args.weights]
        return prepared(args, downloaded(args.name, chosen), chosen)

    path = Path(args.weights)
    # A word without folder or suffix was meant as the name of weights.
    if path.name == args.weights and not path.suffix and not path.exists():
        names = ", ".join(available.__members__)
        raise Usage(f"{args.name} has no weights named {args.weights}: there are {names}, or a file")
    state = read_state(path)
    if args.name.startswith("densenet"):
        # Torchvision's own files are older than its rule that names hold no dots.
        state = renamed(state, lambda key: re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key))
    published = with_digest(available, path)
    chosen = published or usual
    module = torchvision_module(args, state, chosen)
    last = list(module.state_dict())[-1]
    own, found = module.state_dict()[last], plain(state, module).get(last)
    if found is not None and found.ndim == own.ndim and len(found) != len(own):
        module = torchvision_module(args, state, chosen, num_classes=len(found))
    load_state(module, state, path)
    result = prepared(args, module, chosen)
    if published is None:
        result.notes.append(f"preprocessing as for torchvision's {chosen.name}, for the file does not say")
    return result


def torchvision_module(args: argparse.Namespace, state, weights, **options) -> nn.Module:
    """The network with random weights, in the variant that `state` and `weights` are for."""
    side = args.input_size[1] if args.input_size else args.crop or weights.transforms().crop_size[0]
    if args.name in ("googlenet", "inception_v3"):
        aux = any(key.startswith(("AuxLogits.", "aux1.")) for key in plain(state))
        options |= {"transform_input": True, "init_weights": False, "aux_logits": aux}
    elif args.name.startswith("vit_"):
        options["image_size"] = side
    elif args.name.startswith("maxvit_"):
        options["input_size"] = (side, side)
    with failing_as(args.name):
        return torchvision.models.get_model(args.name, weights=None, **options)


def downloaded(name: str, weights) -> nn.Module:
    """The network with torchvision's `weights`, from torch's cache or the network."""
    elsewhere = f"where there is a network, fetch it and give --weights {Path(weights.url).name}"
    try:
        return torchvision.models.get_model(name, weights=weights, progress=sys.stderr.isatty())
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        raise Failure(f"{weights.url} cannot be downloaded ({first_line(Exception(reason))}): {elsewhere}") from error
    except Exception as error:
        raise Failure(f"{weights.url} cannot be used ({first_line(error)})") from error


def with_digest(available, path: Path):
    """Those torchvision weights whose file this is, by the digest in their address."""
    digest = hashlib.sha256()
    with failing_as(str(path)), path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    for weights in available:
        match = re.search(r"-([0-9a-f]{8,})\.", weights.url)
        if match and digest.hexdigest().startswith(match[1]):
            return weights
    return None


def prepared(args: argparse.Namespace, module: nn.Module, weights) -> Network:
    """`module` with the preprocessing of `weights`, and without the auxiliary heads, which only training uses."""
    if args.name == "inception_v3":
        module.aux_logits, module.AuxLogits = False, None
    elif args.name == "googlenet":
        module.aux_logits, module.aux1, module.aux2 = False, None, None
    transforms = weights.transforms()
    crop = transforms.crop_size[0]
    mean, std = tuple(transforms.mean), tuple(transforms.std)
    resize, interpolation = transforms.resize_size[0], transforms.interpolation.value
    return Network(module.eval(), (3, crop, crop), mean, std, resize, crop, interpolation)


def cifar_network(args: argparse.Namespace) -> Network:
    state, path = {}, None
    if not args.random:
        path = Path(args.weights)
        state = plain(read_state(path))
    with failing_as(args.weights or args.name):
        module, layout = cifar_networks.build(args.name, state, args.classes or 10)
    if path:
        load_state(module, state, path, layout.key)
    classes = list(module.state_dict().values())[-1].shape[0]
    if classes not in cifar_networks.NORMALISATION and not (args.mean and args.std):
        raise Usage(f"{args.name} with {classes} classes is neither for CIFAR-10 nor CIFAR-100: give --mean and --std")
    mean, std = cifar_networks.NORMALISATION.get(classes, ((0.0,), (1.0,)))
    result = Network(module.eval(), (3, 32, 32), mean, std)
    if path:
        result.notes.append(f"layout of {path}: {layout.name}")
        if layout.note and not (args.mean and args.std):
            result.notes.append(layout.note)
    return result


def own_network(args: argparse.Namespace) -> Network:
    file, _, attribute = args.name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise Failure(f"{path}: no such file")
    # Its neighbours can be imported, as if it were run.
    sys.path.insert(0, str(path.resolve().parent))
    with failing_as(file):
        spec = importlib.util.spec_from_file_location(f"network_{path.stem}", path)
        python = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = python
        spec.loader.exec_module(python)
    build = getattr(python, attribute, None)
    if not callable(build):
        raise Failure(f"{file} has no callable named {attribute or '(nothing)'}")
    with failing_as(args.name):
        module = build if isinstance(build, nn.Module) else build()
    if not isinstance(module, nn.Module):
        raise Failure(f"{args.name} returns a {type(module).__name__}, not an nn.Module")
    if args.weights is not None:
        path = Path(args.weights)
        load_state(module, read_state(path), path)
    result = Network(module.cpu().float().eval())
    if args.input_size is None and args.crop is None:
        result.notes.append("the input is taken to be 3x224x224: give --input-size if it is not")
    if args.mean is None or args.std is None:
        result.notes.append("the archive says mean 0 and deviation 1 where --mean or --std is not given")
    return result


# --- Weights from files


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """The state_dict in a file of torch.save, which is read without running any code in it."""
    if not path.exists():
        raise Failure(f"{path}: no such file")
    try:
        # Training scripts keep their options beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        match = re.search(r"GLOBAL ([\w.]+)", str(error))
        if match is None:
            raise Failure(f"{path} is no file of torch.save") from error
        raise Failure(
            f"{path} holds a {match[1]}, and only tensors and plain values are read: torch.save the state_dict() alone"
        ) from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise Failure(f"{path} is a TorchScript archive, which polyact reads as it is") from error
        raise Failure(f"{path} cannot be read: {first_line(error)}") from error
    except Exception as error:
        raise Failure(f"{path} cannot be read: {first_line(error)}") from error
    while isinstance(found, dict) and (wrapper := next((key for key in WRAPPERS if isinstance(found.get(key), dict)), None)):
        found = found[wrapper]
    tensors = isinstance(found, dict) and any(isinstance(value, torch.Tensor) for value in found.values())
    if not tensors or not all(isinstance(key, str) for key in found):
        raise Failure(f"{path} holds no state_dict, neither itself nor under {', '.join(WRAPPERS)}")
    return found


def renamed(state, rename) -> dict[str, torch.Tensor]:
    """`state` with other keys; the versions of the modules, which state_dicts carry aside, follow."""
    result = OrderedDict((rename(key), value) for key, value in state.items())
    versions = getattr(state, "_metadata", None)
    if versions is not None:
        result._metadata = {rename(key): value for key, value in versions.items()}
    return result


def plain(state, module: nn.Module | None = None) -> dict[str, torch.Tensor]:
    """`state` without the `module` that DataParallel puts into keys; keys of `module` itself keep theirs."""

    def bare(key: str) -> str:
        return ".".join(part for part in key.split(".") if part != "module")

    own = module.state_dict() if module else ()
    bare_own = {bare(key): key for key in own}
    return renamed(state, lambda key: key if key in own else bare_own.get(bare(key), bare(key)))


def load_state(module: nn.Module, state, path: Path, in_file=lambda key: key) -> None:
    """Load `state` into `module`, whose key `k` is named `in_file(k)` there.

    Raises a Failure that names the keys which are missing, not expected or of another shape.
    """
    own_names = {in_file(key): key for key in module.state_dict()}
    state = renamed(plain(state, module), lambda key: own_names.get(key, key))
    if not hasattr(state, "_metadata"):
        state._metadata = module.state_dict()._metadata
    wrong = []
    try:
        module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        shapes = r"size mismatch for (\S+): .*?torch\.Size\(\[(.*?)\]\).*?torch\.Size\(\[(.*?)\]\)"
        found = re.findall(shapes, str(error))
        if not found:
            raise Failure(f"{path}: {first_line(error)}") from error
        wrong = [f"{in_file(key)} is [{theirs}] instead of [{ours}]" for key, theirs, ours in found]
    except Exception as error:
        raise Failure(f"{path}: {first_line(error)}") from error
    own = module.state_dict()
    # Files older than these counters lack them, and only training reads them.
    missing = [in_file(key) for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [in_file(key) for key in state if key not in own]
    kinds = (("missing", missing), ("not expected", unexpected), ("of another shape", wrong))
    if any(keys for _, keys in kinds):
        raise Failure(f"{path} does not fit the network: " + "; ".join(listed(what, keys) for what, keys in kinds if keys))


def listed(what: str, keys: list[str]) -> str:
    rest = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return f"{len(keys)} {what}: {', '.join(keys[:LISTED])}{rest}"


# --- Export


def preprocessing(args: argparse.Namespace, network: Network) -> dict:
    """What the archive says of its inputs, but for the number of classes: `network`'s, overruled by the options."""
    channels = network.input_size[0]
    size = args.input_size or ((channels, args.crop, args.crop) if args.crop else network.input_size)
    resize = args.resize or network.resize
    crop = args.crop or network.crop
    if resize or crop:
        if size[1] != size[2] or args.crop not in (None, size[1]):
            raise Usage(f"an input of {size[1]}x{size[2]} is not a square crop of {args.crop or size[1]}: --input-size and --crop disagree")
        crop = size[1]
        if resize and resize < crop:
            raise Usage(f"images resized to {resize} cannot be cropped to {crop}: give --resize")
    result = {"input_size": list(size), "mean": args.mean or network.mean, "std": args.std or network.std}
    for key in ("mean", "std"):
        values = list(result[key])
        result[key] = values * size[0] if len(values) == 1 else values
        if len(result[key]) != size[0]:
            raise Usage(f"--{key}: {len(values)} values for {size[0]} channels")
    if min(result["std"]) <= 0:
        raise Usage(f"--std: {min(result['std'])} is not positive")
    return result | {"resize": resize, "crop": crop, "interpolation": args.interpolation or network.interpolation}


def batch(count: int, size: list[int], seed: int) -> torch.Tensor:
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(seed))


def settle(module: nn.Module, x: torch.Tensor) -> None:
    """Make random weights behave as trained ones do.

    Every batch norm gets the statistics of the batch `x`, so that activations stay of order one through any depth, and
    layers that start at zero, as the last one of a vision transformer does, random values.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear) and not part.weight.any():
            part.reset_parameters()
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    module(x)
    for norm, momentum in zip(norms, momenta):
        norm.eval()
        norm.momentum = momentum


def logits(output, count: int) -> torch.Tensor:
    """The logits [count, classes] of a plain or a tuple output."""
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise Failure(f"the network returns a {type(output).__name__}, not logits")
    if output.ndim != 2 or len(output) != count:
        raise Failure(f"the network returns a tensor of shape {list(output.shape)} for {count} images, not [{count}, classes]")
    return output


def export(args: argparse.Namespace, module: nn.Module, x: torch.Tensor, expected: torch.Tensor, preprocess: dict) -> tuple[str, float]:
    """Write the archive once it gives `expected` for `x`; how it was made, and the largest difference of a logit.

    A trace sees the first image of `x` only, so that what it wrongly holds constant shows.
    """
    ways = ["trace", "script"] if args.trace == args.script else ["trace" if args.trace else "script"]
    largest, reasons = expected.abs().max(), []
    partial = args.out.with_name(args.out.name + ".partial")
    try:
        for way in ways:
            try:
                made = torch.jit.trace(module, x[:1], check_trace=False) if way == "trace" else torch.jit.script(module)
                torch.jit.save(made, str(partial), _extra_files={"preprocess.json": json.dumps(preprocess)})
                found = logits(torch.jit.load(str(partial))(x), len(x))
            except Exception as error:
                reasons.append(f"{way} fails: {first_line(error)}")
                continue
            difference = ((found - expected).abs().max() / largest).item() if found.shape == expected.shape else math.inf
            if difference <= TOLERANCE:
                os.replace(partial, args.out)
                return {"trace": "traced", "script": "scripted"}[way], difference
            reasons.append(f"{way} gives other logits than the network, by {difference:.1e} of the largest")
    finally:
        partial.unlink(missing_ok=True)
    raise Failure(f"{args.name} cannot be exported: {'; '.join(reasons)}")


def run(args: argparse.Namespace) -> None:
    if not args.out.parent.is_dir():
        raise Failure(f"{args.out}: there is no folder {args.out.parent}")
    if args.out.is_dir():
        raise Failure(f"{args.out} is a folder")
    chosen = network(args)
    module, preprocess = chosen.module, preprocessing(args, chosen)
    size = preprocess["input_size"]
    with torch.no_grad():
        x = batch(2, size, seed=1)
        shape = "x".join(map(str, x.shape))
        with failing_as(f"{args.name} fails on an input of {shape}"):
            if args.random:
                settle(module, batch(2, size, seed=2))
            expected = logits(module(x), len(x))
        if not expected.isfinite().all() or not expected.any():
            raise Failure(f"{args.name} with these weights gives logits that are zero or no numbers")
        classes = expected.shape[1]
        if args.classes not in (None, classes):
            raise Usage(f"--classes {args.classes}: {args.name} with these weights has {classes} classes")
        preprocess["classes"] = classes
        way, difference = export(args, module, x, expected, preprocess)
    tell(args, chosen, preprocess, way, difference)


def tell(args: argparse.Namespace, chosen: Network, preprocess: dict, way: str, difference: float) -> None:
    count = sum(parameter.numel() for parameter in chosen.module.parameters())
    steps = [f"resize to {preprocess['resize']}, {preprocess['interpolation']}"] if preprocess["resize"] else []
    steps += [f"crop to {preprocess['crop']}"] if preprocess["crop"] else []
    steps += [f"{key} {','.join(f'{value:g}' for value in preprocess[key])}" for key in ("mean", "std")]
    path = shlex.quote(str(args.out))
    lines = [
        f"{args.out}: {way}, {count} parameters, {preprocess['classes']} classes, logits within {difference:.1e} of the module's",
        f"input {'x'.join(map(str, preprocess['input_size']))}: {'; '.join(steps)}",
        *(f"note: {note}" for note in chosen.notes),
        "next, with your images for DATASET and a bound of the ReLUs' inputs for 50:",
        f"  polyact inspect --model {path}",
        f"  polyact eval --model {path} --dataset DATASET --relu paper:14 --relu-range 50",
    ]
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        # Nobody reads on; Python must not try again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: list[str] | None = None) -> int:
    """Run with the command line `arguments`; the exit code."""
    warnings.filterwarnings("ignore")
    try:
        run(parse(arguments))
    except Failure as error:
        print(f"export: {first_line(error)}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
