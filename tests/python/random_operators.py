"""Operators of random networks: layers, rectifiers, pools, arithmetic. The others are in random_structure.py.

Each is a function that writes a step with a `Builder`, and says how often it is drawn. What has gone wrong before is
drawn most: a convolution, then views, permutations, writes in place and shortcuts that use its value again.
"""

from random_networks import Builder, Rejected, operator

# Layers.


@operator(10)
def conv2d(b: Builder) -> None:
    v = b.pick(4)
    height, width = b.value(v).shape[2:]
    channels = b.value(v).size(1)
    kernel = b.choice([1, 1, 2, 3, 3, 3, 5, (1, 3), (3, 1), (2, 3)])
    out, groups = b.choice([2, 3, 4, 6, 8]), 1
    if b.chance(0.2):
        groups, out = channels, channels * b.choice([1, 1, 2])
    elif b.chance(0.2) and channels % 2 == 0:
        groups, out = 2, b.choice([2, 4, 6])
    options = [f"groups={groups}"] if groups > 1 else []
    if b.chance(0.15):
        options.append("padding='same'")
    elif kernel != 1:
        options.append(f"padding={b.choice([0, 1, 1, 2, (0, 1)])}")
        options += [f"stride={b.choice([2, (1, 2)])}"] * b.chance(0.3) + [
            f"dilation={b.choice([2, (1, 2)])}"
        ] * b.chance(0.15)
        options += [f"padding_mode='{b.choice(['reflect', 'circular', 'replicate'])}'"] * b.chance(0.08)
    options += ["bias=False"] * b.chance(0.3)
    lies = ".to(memory_format=torch.channels_last)" if b.chance(0.08) else ""
    layer = b.layer(f"nn.Conv2d({', '.join([str(channels), str(out), str(kernel), *options])}){lies}", "conv")
    norm = b.layer(f"nn.BatchNorm2d({out})", "norm") if b.chance(0.25) else None
    b.define(f"{norm}({layer}({v}))" if norm and b.chance(0.7) else f"{layer}({v})")
    if min(height, width) < 2:
        raise Rejected


@operator(2)
def functional_conv2d(b: Builder) -> None:
    v = b.pick(4)
    layer = b.layer(f"nn.Conv2d({b.value(v).size(1)}, {b.choice([2, 4, 6])}, 3)", "conv")
    rest = b.choice([
        "padding=1", "stride=2, padding=1", "padding='same'", "padding='valid'", "dilation=(1, 2), padding=1",
    ])  # fmt: skip
    b.define(f"F.conv2d({v}, {layer}.weight, {b.choice([f'{layer}.bias', 'None'])}, {rest})")


@operator(1)
def shared_conv2d(b: Builder) -> None:
    v = b.pick(4)
    channels = b.value(v).size(1)
    layer = b.layer(f"nn.Conv2d({channels}, {channels}, 3, padding=1)", "conv")
    b.define(f"{layer}({layer}({v}))" if b.chance(0.5) else f"{layer}({v}) + {layer}(-{v})")


@operator(0.7)
def conv_transpose2d(b: Builder) -> None:
    v = b.pick(4)
    options = b.choice(["2, stride=2", "3, padding=1", "3, stride=2, padding=1, output_padding=1"])
    b.define(f"{b.layer(f'nn.ConvTranspose2d({b.value(v).size(1)}, {b.choice([2, 4])}, {options})', 'conv')}({v})")


@operator(0.7)
def conv1d(b: Builder) -> None:
    v = b.pick(3)
    b.define(f"{b.layer(f'nn.Conv1d({b.value(v).size(1)}, {b.choice([2, 4])}, 3, padding=1)', 'conv')}({v})")


@operator(1)
def batch_norm(b: Builder) -> None:
    v = b.pick(4)
    b.define(f"{b.layer(f'nn.BatchNorm2d({b.value(v).size(1)})', 'norm')}({v})")


@operator(2)
def linear(b: Builder) -> None:
    v = b.pick(fits=lambda value: value.dim() > 1 and value.size(-1) <= 600)
    b.define(f"{b.layer(f'nn.Linear({b.value(v).size(-1)}, {b.choice([4, 6, 8])})', 'linear')}({v})")


@operator(1.5)
def linear_normalised(b: Builder) -> None:
    v = b.pick(fits=lambda value: value.dim() > 1 and value.size(-1) <= 600)
    # Batch normalisation is along the second axis, whatever comes after it.
    value = b.value(v)
    features = value.size(1) if value.dim() > 2 else b.choice([3, 6])
    linear = b.layer(
        f"nn.Linear({value.size(-1)}, {b.choice([features, 4]) if value.dim() > 2 else features})", "linear"
    )
    norm = b.layer(f"nn.BatchNorm{max(1, value.dim() - 2)}d({features})", "norm")
    if b.chance(0.5):
        b.define(f"{norm}({linear}({v}))")
    else:
        w = b.define(f"{linear}({v})")
        b.define(f"{norm}({w})")


@operator(0.5)
def norm(b: Builder) -> None:
    v = b.pick()
    b.define(b.choice([f"F.layer_norm({v}, {list(b.value(v).shape[-1:])})", f"F.group_norm({v}, 1)"]))


# Rectifiers and pools.

RECTIFIED = [
    "F.relu({})", "F.relu({})", "torch.relu({})", "{}.relu()", "F.relu6({})", "F.hardtanh({}, 0.0, 6.0)",
    "{}.clamp(min=0)", "{}.clamp_min(0)",
    "{}.clamp(0, 6)", "torch.clip({}, 0)", "torch.clamp({}, min=0.0)", "F.threshold({}, 0.0, 0.0)", "F.relu6(3 * {})",
]  # fmt: skip
RECTIFIED_IN_PLACE = [
    "F.relu({}, inplace=True)", "F.relu({}, inplace=True)", "{}.relu_()", "torch.relu_({})", "{}.clamp_(min=0)",
    "{}.clamp_min_(0)", "{}.clamp_(0, 6)",
    "F.relu6({}, inplace=True)", "F.hardtanh({}, 0.0, 6.0, inplace=True)", "F.threshold({}, 0.0, 0.0, inplace=True)",
]  # fmt: skip
MODULES = ["nn.ReLU()", "nn.ReLU6()", "nn.Hardtanh(0.0, 6.0)", "nn.Threshold(0.0, 0.0)"]


@operator(7)
def rectifier(b: Builder) -> None:
    v = b.pick()
    if b.chance(0.4):
        b.define(f"{b.layer(b.choice(MODULES), 'relu')}({v})")
    else:
        b.define(b.choice(RECTIFIED).format(v))


@operator(7)
def rectifier_in_place(b: Builder) -> None:
    v = b.written()
    call = (
        f"{b.layer('nn.ReLU(inplace=True)', 'relu')}({v})" if b.chance(0.3) else b.choice(RECTIFIED_IN_PLACE).format(v)
    )
    if b.chance(0.5):
        b.define(call)
    else:
        b.line(call)


@operator(3)
def rectifier_of_a_view_in_place(b: Builder) -> None:
    v = b.written(4)
    view = b.choice([
        "[:, ::2]", "[:, 1:]", "[:, :, 1:]", "[..., ::2]", "[:, 0]", ".permute(0, 2, 3, 1)", ".transpose(1, 2)",
        ".unsqueeze(1)", ".flatten(2)", ".view(n, -1)",
    ])  # fmt: skip
    b.line(b.choice(RECTIFIED_IN_PLACE).format(v + view))


def geometry(b: Builder) -> str:
    kernel = [b.choice([1, 2, 2, 3, 3, 4, 5]) for _ in range(2)]
    if b.chance(0.7):
        kernel[1] = kernel[0]
    options = [str(kernel[0]) if kernel[0] == kernel[1] else str(tuple(kernel))]
    options += [f"stride={b.choice([1, 2, 3, (1, 2), (2, 1)])}"] * b.chance(0.6)
    options += [f"padding={tuple(b.choice(range(size // 2 + 1)) for size in kernel)}"] * b.chance(0.6)
    options += [f"dilation={b.choice([2, (1, 2)])}"] * b.chance(0.15) + ["ceil_mode=True"] * b.chance(0.25)
    return ", ".join(options)


@operator(6)
def max_pool2d(b: Builder) -> None:
    v = b.pick(4)
    options = geometry(b)
    b.define(
        f"{b.layer(f'nn.MaxPool2d({options})', 'pool')}({v})"
        if b.chance(0.4)
        else f"{b.choice(['F', 'torch'])}.max_pool2d({v}, {options})"
    )


@operator(2)
def max_pool2d_after_a_change(b: Builder) -> None:
    """Of values that were rectified, and perhaps are negative again."""
    v = b.define(f"F.relu({b.pick(4)})")
    b.line(b.choice([
        f"{v}.sub_(0.7)", f"{v}.neg_()", f"{v}[:, :1].sub_(1)", f"{v}.add_(0.3)", f"{v}[:, 0] = -1",
        f"{v}.view(-1).mul_(-1)",
    ]))  # fmt: skip
    b.define(f"F.max_pool2d({v}, {b.choice(['3, 2, 1', '2, 1, 1', '3, 1, (0, 1)', '2, ceil_mode=True'])})")


@operator(0.6)
def max_pool2d_with_indices(b: Builder) -> None:
    v, pooled, indices = b.pick(4), b.fresh(), b.fresh()
    b.line(f"{pooled}, i{indices} = F.max_pool2d({v}, 2, return_indices=True)")
    b.defined(pooled)
    b.define(f"F.max_unpool2d({pooled}, i{indices}, 2)" if b.chance(0.5) else f"{pooled} + 0.01 * i{indices}")


@operator(0.5)
def max_pool2d_of_one_image(b: Builder) -> None:
    b.define(f"F.max_pool2d({b.pick(4)}[:, 0], 2, 1, 1)")


@operator(2)
def average(b: Builder) -> None:
    v = b.pick(4)
    b.define(b.choice([
        f"F.avg_pool2d({v}, 2)", f"F.avg_pool2d({v}, 3, 1, 1)", f"F.avg_pool2d({v}, 3, 2, 1, count_include_pad=False)",
        f"F.avg_pool2d({v}, 2, ceil_mode=True)", f"F.adaptive_avg_pool2d({v}, 1)",
        f"F.adaptive_avg_pool2d({v}, (2, 3))",
        f"{v}.mean((2, 3))", f"{v}.mean((2, 3), keepdim=True)", f"{v}.mean(-1)", f"{v}.sum(1) * 0.3",
        f"{v}.mean([1], True)",
    ]))  # fmt: skip


# Arithmetic.


def pair(b: Builder) -> tuple[str, str]:
    """Two values of which the second broadcasts to the first."""
    a = b.pick()

    def broadcasts(value) -> bool:
        lengths = zip(reversed(value.shape), reversed(b.value(a).shape))
        return value.dim() <= b.value(a).dim() and all(own in (1, other) for own, other in lengths)

    return a, b.pick(fits=broadcasts)


@operator(6)
def arithmetic(b: Builder) -> None:
    a, c = pair(b)
    b.define(b.choice([
        f"{a} + {c}", f"{a} + {c}", f"{c} + {a}", f"{a} - {c}", f"0.3 * {a} * {c}", f"torch.add({a}, {c}, alpha=0.5)",
        f"{a}.add({c})", f"torch.lerp({a}, {c}, 0.3)",
        f"torch.addcmul({a}, {a}, {c}, value=0.1)", f"torch.rsub({a}, {c})", f"{a}.sub({c}, alpha=2)",
    ]))  # fmt: skip


@operator(3)
def arithmetic_with_numbers(b: Builder) -> None:
    v = b.pick()
    b.define(b.choice([
        f"{v} + 1", f"{v} * 0.5", f"2 - {v}", f"{v} / 2", f"-{v}", f"{v}.square() * 0.1", f"{v} ** 2 * 0.1",
        f"{v} - 0.4", f"{v} * -1", f"{v} + {v}.mean()", f"{v}.abs()", f"{v} - {v}.mean()",
    ]))  # fmt: skip


@operator(3)
def shortcut(b: Builder) -> None:
    v = b.pick(4)
    channels = b.value(v).size(1)
    layer = b.layer(f"nn.Conv2d({channels}, {channels}, 3, padding=1)", "conv")
    b.define(b.choice([
        f"{layer}({v}) + {v}", f"{v} + {layer}({v})", f"{layer}({v}).add_({v})", f"F.relu({layer}({v}) + {v})",
        f"{v} + F.relu({layer}({v}))",
    ]))  # fmt: skip


@operator(2)
def gate(b: Builder) -> None:
    v = b.pick()
    b.define(b.choice([
        f"{v} * torch.sigmoid({v})", f"F.silu({v})", f"torch.tanh({v})", f"F.gelu({v})", f"F.leaky_relu({v}, 0.1)",
        f"F.hardswish({v})", f"F.softmax({v}, -1)",
        f"{v} / (1 + {v}.abs())", f"torch.where({v} > 0.2, {v}, -0.1 * {v})", f"{v}.masked_fill({v} > 1, 0.5)",
        f"F.elu({v})", f"F.hardtanh({v})", f"{v}.clamp(min=0.1)", f"{v}.clamp(max=6)",
    ]))  # fmt: skip


@operator(1)
def squeeze_and_excitation(b: Builder) -> None:
    v = b.pick(4)
    channels = b.value(v).size(1)
    down, up = b.layer(f"nn.Linear({channels}, 4)", "linear"), b.layer(f"nn.Linear(4, {channels})", "linear")
    scale = b.define(f"torch.sigmoid({up}(F.relu({down}({v}.mean((2, 3))))))")
    b.define(
        f"{v} * {scale}.view({v}.size(0), {channels}, 1, 1)"
        if b.chance(0.5)
        else f"{v} * {scale}[:, :, None, None].expand_as({v})"
    )


@operator(1.5)
def product(b: Builder) -> None:
    v = b.pick(4)
    channels = b.value(v).size(1)
    b.define(b.choice([
        f"0.1 * torch.matmul({v}.flatten(2), {v}.flatten(2).transpose(1, 2))",
        f"0.1 * torch.bmm({v}.flatten(2), {v}.flatten(2).permute(0, 2, 1))",
        f"0.1 * torch.einsum('nchw,nkhw->nck', {v}, {v})",
        f"torch.matmul({v}.permute(0, 2, 3, 1), torch.full([{channels}, 3], 0.2))",
        f"0.3 * {v} @ {v}.transpose(-1, -2)", f"torch.einsum('nchw->nhwc', {v})",
    ]))  # fmt: skip
