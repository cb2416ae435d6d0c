"""Operators of random networks: views and copies, several values at once, writes in place, control flow."""

from random_networks import Builder, Rejected, operator

# Views and copies.

VIEWS = [
    ".permute(0, 2, 3, 1)", ".permute(0, 3, 1, 2)", ".permute(0, 1, 3, 2)", ".transpose(1, 2)", ".transpose(2, 3)",
    ".transpose(-1, -2)",
    ".movedim(1, -1)", ".swapaxes(1, 3)", ".view(n, -1)", ".view({0}.size(0), -1)",
    ".view({0}.size(0), {0}.size(1), -1)", ".flatten(1)", ".flatten(2)",
    ".reshape(n, -1)", ".view(n * {0}.size(1), 1, {0}.size(2), {0}.size(3))", ".reshape(n, 1, {0}.size(1), -1)",
    ".view(n, {0}.size(2), {0}.size(3), {0}.size(1))",
    ".detach()", ".contiguous()", ".contiguous(memory_format=torch.channels_last)",
    ".to(memory_format=torch.channels_last)", ".clone()",
    ".clone(memory_format=torch.contiguous_format)", ".to(torch.float32)", "[:, ::2]", "[:, 1:]", "[:, :, 1:, :-1]",
    "[..., ::2]", "[:, :, ::2, 1::2]", "[:, 0]",
    "[:, -1:]", ".select(1, 0)", ".narrow(1, 0, 1)", ".narrow(2, 1, 2)", ".squeeze()", ".unsqueeze(1)", "[:, None]",
    ".diagonal(0, 2, 3)",
    ".unfold(2, 2, 2)", ".unfold(3, 3, 1).mean(-1)", ".view_as({0})", ".expand_as({0})", ".mT",
]  # fmt: skip
COPIES = [
    ".roll(1, 1)", ".roll((1, 2), (2, 3))", ".flip(1)", ".flip([2, 3])", ".rot90(1, [2, 3])", ".repeat(1, 2, 1, 1)",
    ".repeat_interleave(2, 1)", ".tile(1, 1, 2, 1)",
    "[:, [0, -1]]", ".index_select(1, torch.tensor([0, 0]))", ".tril()", ".cumsum(1) * 0.5",
    "[:, :1].expand(-1, 3, -1, -1)", ".sum(1, keepdim=True).expand(-1, 2, -1, -1)",
    ".mean((2, 3), keepdim=True).expand(-1, -1, 2, 3)", ".to(torch.double).to(torch.float32)",
]  # fmt: skip
FUNCTIONS = [
    "F.pad({0}, (1, 1, 1, 1))", "F.pad({0}, (0, 1, 2, 0), value=-0.5)", "F.pad({0}, (1, 0, 1, 1), mode='reflect')",
    "F.pad({0}, (1, 1, 0, 0), mode='replicate')",
    "F.pad({0}, (0, 0, 0, 0, 1, 1))", "F.pad({0}, (-1, 0, 0, -1))", "F.pixel_unshuffle({0}, 2)",
    "F.pixel_shuffle({0}, 2)", "F.channel_shuffle({0}, 2)",
    "F.interpolate({0}, scale_factor=2.0)", "F.interpolate({0}, size=[6, 6], mode='bilinear', align_corners=False)",
    "F.dropout({0}, 0.5, self.training)",
    "torch.permute({0}, (0, 2, 3, 1)).contiguous()", "{0}.permute(0, 2, 3, 1).reshape(n, -1)",
    "{0}.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)",
    "{0}.transpose(1, 2).contiguous()", "{0}.permute(0, 2, 3, 1).reshape(-1, {0}.size(1))", "{0}.permute(1, 0, 2, 3)",
    "{0}.flatten(2).transpose(1, 2)",
    "{0}.flatten(2).permute(2, 0, 1)", "torch.squeeze(F.adaptive_avg_pool2d({0}, 1))",
]  # fmt: skip


@operator(9)
def view(b: Builder) -> None:
    v = b.pick(4)
    b.define(v + b.choice(VIEWS).format(v))


@operator(3)
def copy(b: Builder) -> None:
    v = b.pick(4)
    b.define(v + b.choice(COPIES).format(v))


@operator(4)
def rearranged(b: Builder) -> None:
    b.define(b.choice(FUNCTIONS).format(b.pick(4)))


VIEWS_OF_ANY = [
    ".contiguous()", ".clone()", ".unsqueeze(-1)", ".unsqueeze(1)", ".t()", ".transpose(0, 1)", ".transpose(1, 2)",
    ".flatten(1)", ".view(n, -1)", "[:, ::2]", "[:, 1:]", ".permute(0, 2, 1)", ".view(n, -1, 1, 1)", ".reshape(n, -1)",
    ".reshape(n, 2, -1, 1)", ".view(n, 1, -1, 2)", "[:, :, None]", ".view(-1)", ".mean(0)", ".mean()",
]  # fmt: skip


@operator(3)
def view_of_any(b: Builder) -> None:
    v = b.pick(fits=lambda value: value.dim() in (1, 2, 3))
    b.define(v + b.choice(VIEWS_OF_ANY))


@operator(0.4)
def as_strided(b: Builder) -> None:
    v = b.pick(4, lambda value: value.is_contiguous())
    size = b.value(v).shape[1:].numel()
    b.define(f"torch.as_strided({v}, [n, {size // 2}], [{size}, 2])")


@operator(1)
def channel_shuffle_by_hand(b: Builder) -> None:
    v = b.pick(4, lambda value: value.size(1) % 2 == 0)
    channels, size = b.value(v).size(1), f"{v}.size(2), {v}.size(3)"
    together = b.choice(["contiguous().view", "reshape"])
    shuffled = f"{v}.view({v}.size(0), 2, {channels // 2}, {size}).transpose(1, 2)"
    b.define(f"{shuffled}.{together}({v}.size(0), {channels}, {size})")


# Several values.


@operator(2)
def parts(b: Builder) -> None:
    v = b.pick(4, lambda value: value.size(1) % 2 == 0)
    a, c, half = b.fresh(), b.fresh(), b.value(v).size(1) // 2
    cut = b.choice([
        f"{v}.chunk(2, 1)", f"{v}.chunk(2, dim=1)", f"torch.split({v}, {half}, 1)",
        f"{v}.split([{half}, {half}], dim=1)", f"{v}[:, :{half}], {v}[:, {half}:]",
    ])  # fmt: skip
    b.line(f"{a}, {c} = {cut}")
    b.defined(a, c)


@operator(1)
def unbound(b: Builder) -> None:
    v, parts = b.pick(4), f"parts{b.fresh()}"
    b.line(f"{parts} = {v}.unbind({b.choice([1, 2])})")
    b.define(f"{parts}[0]")
    b.define(f"torch.stack([{parts}[-1], {parts}[0]], 1)")


@operator(4)
def joined(b: Builder) -> None:
    a = b.pick(fits=lambda value: value.dim() > 1)
    alike = lambda value: (
        value.dim() == b.value(a).dim()
        and value.shape[2:] == b.value(a).shape[2:]
        and value.size(0) == b.value(a).size(0)
    )
    c = b.pick(fits=alike)
    b.define(b.choice([
        f"torch.cat([{a}, {c}], 1)", f"torch.cat(({c}, {a}, {c}), dim=1)",
        f"torch.stack(({a}, {a} * 0.5), 1).flatten(1, 2)", f"torch.cat([{a}, {c}], -1)",
    ]))  # fmt: skip


@operator(1)
def list_in_a_loop(b: Builder) -> None:
    v, parts, end = b.pick(4), b.fresh(), b.choice([2, 3])
    each = b.choice(
        ["{0} * (0.5 * i)", "F.relu({0} - 0.2 * i)", "{0}[:, i:i + 1]", "F.max_pool2d({0}, 2 + i, 1)[:, :, :2, :2]"]
    ).format(v)
    b.lines(f"l{parts} = [{v}][:0]\nfor i in range({end}):\n    l{parts}.append({each})")
    b.define(f"torch.cat(l{parts}, 1)")


# Writes in place.


@operator(6)
def in_place(b: Builder) -> None:
    a = b.written()
    c = b.pick(
        fits=lambda value: (
            value.dim() <= b.value(a).dim()
            and all(own in (1, other) for own, other in zip(reversed(value.shape), reversed(b.value(a).shape)))
        )
    )
    c = b.apart(c, a)
    b.line(b.choice([
        f"{a}.add_({c})", f"{a} += {c}", f"{a}.sub_({c})", f"{a}.mul_(0.5)", f"{a} *= -0.5", f"{a}.copy_({c})",
        f"{a}.neg_()", f"{a} -= 0.3", f"{a}.add_(1)",
        f"{a}.add_({c}, alpha=0.5)", f"{a}.div_(2)", f"{a}.fill_(0.3)", f"{a}.sigmoid_()", f"{a}.zero_()",
        f"{a}.mul_({c}).mul_(0.3)", f"{a}.lerp_({c}, 0.5)",
    ]))  # fmt: skip


@operator(5)
def in_place_on_a_view(b: Builder) -> None:
    a = b.written(4)
    target = a + b.choice([
        "[:, :1]", "[:, 1:]", "[:, ::2]", "[:, :, 1:]", "[..., ::2]", "[:, 0]", ".transpose(2, 3)",
        ".permute(0, 2, 3, 1)", ".view(n, -1)", ".flatten(2)", ".unsqueeze(0)", ".detach()",
    ])  # fmt: skip
    c = b.pick(4)
    other = f"{c}{target[len(a) :]}"
    if b.value(c).shape != b.value(a).shape or b.apart(c, a) != c:
        other = "0.2"
    b.line(b.choice([
        f"{target}.add_({other})", f"{target}.mul_(-0.5)", f"{target}.sub_(0.3)", f"{target}.fill_(0.1)",
        f"{target}.zero_()", f"{target}.neg_()", f"{target}.mul_({other})",
    ]))  # fmt: skip


@operator(3)
def index_assignment(b: Builder) -> None:
    a = b.written(4)
    index = b.choice(["[:, 0]", "[:, 1:]", "[:, :, 0]", "[..., 1:]", "[:, ::2, 1]", "[:, -1:]"])
    c = b.pick(4, lambda value: value.shape == b.value(a).shape)
    other = b.apart(c, a)
    b.line(f"{a}{index} = " + b.choice([f"{other}{index}", "0.5", "-1.0", f"{a}{index} * 0.5", f"F.relu({a}{index})"]))


@operator(1.5)
def coupled_halves(b: Builder) -> None:
    v = b.written(4)
    if b.value(v).size(1) % 2:
        raise Rejected
    a, c = b.fresh(), b.fresh()
    b.line(f"{a}, {c} = {v}.chunk(2, 1)")
    b.defined(a, c)
    b.line(b.choice([
        f"{a}.add_({c})", f"{a}.copy_({c})", f"{c}.mul_({a}).mul_(0.3)", f"{a} += F.relu({c})", f"{c}.sub_({a}.mean())",
    ]))  # fmt: skip


REPACKED = [
    ".permute(0, 2, 3, 1).contiguous()", ".contiguous()", ".contiguous(memory_format=torch.channels_last)",
    ".reshape(n, -1)", ".flatten(1)", ".permute(0, 2, 3, 1).flatten(1)", ".transpose(1, 2).contiguous()",
    ".to(memory_format=torch.channels_last)", ".permute(0, 2, 3, 1).reshape(n, -1, 1)", ".transpose(1, 3).flatten(2)",
]  # fmt: skip


@operator(3)
def repacked_in_place(b: Builder) -> None:
    """A copy or a view, as the layout has it, written to, and the original used again."""
    w = b.define(b.pick(4) + b.choice(REPACKED))
    if not b.may_be_written(b.value(w)):
        raise Rejected
    b.line(
        b.choice(["F.relu({}, inplace=True)", "{}.mul_(-0.5)", "{}.relu_()", "{}.add_(0.5)", "{}[:, 0] = 1.0"]).format(
            w
        )
    )


# Control flow.


def block(b: Builder, v: str, shared_memory: bool) -> str:
    """A method that keeps the shape of `v`; it writes to its argument only where `shared_memory` allows."""
    channels = b.value(v).size(1)
    layer = b.layer(f"nn.Conv2d({channels}, {channels}, 3, padding=1)", "conv")
    first = b.choice([
        f"w = {layer}(v)", f"w = {layer}(v)", f"w = F.relu({layer}(v))", "w = v * 0.5",
        f"w = {layer}(v).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)",
    ])  # fmt: skip
    middle = b.choice([
        "w = F.relu(w)", "w.relu_()", "w = F.relu(w, inplace=True)", "w[:, :1].add_(0.5)",
        "w = F.max_pool2d(F.relu(w), 3, 1, 1)", "w = w.transpose(2, 3).contiguous().transpose(2, 3)", "w.add_(v)",
        "w.clamp_(0, 6)",
    ])  # fmt: skip
    more = b.choice(
        ["w = w + v", "w.add_(v)", "w = 0.5 * (v + w)", "w = F.relu(w - 0.1)", f"w = {layer}(w)"]
        + ["v.mul_(0.5)", "v.relu_()", "v.add_(w)"] * shared_memory
    )
    return b.method([first, middle, more, "return w"])


@operator(2)
def method_called_twice(b: Builder) -> None:
    v = b.pick(4)
    call = block(b, v, False)
    b.define(b.choice([
        f"{call}({call}({v}))", f"{call}({v}) + {call}(-{v})", f"torch.cat([{call}({v}), {call}({v} * 0.5)], 1)",
    ]))  # fmt: skip


@operator(1)
def method_that_writes_to_its_argument(b: Builder) -> None:
    v = b.written(4)
    b.define(f"{block(b, v, True)}({v})")


@operator(1)
def tuple_of_a_method(b: Builder) -> None:
    v = b.pick(4)
    channels, a, c = b.value(v).size(1), b.fresh(), b.fresh()
    layer = b.layer(f"nn.Conv2d({channels}, {channels}, 1)", "conv")
    call = b.method(
        [
            f"w = {layer}(v)",
            b.choice(["u = F.relu(w)", "u = F.relu(w, inplace=True)", "u = w.flatten(2)"]),
            "return u, w",
        ],
        gives="Tuple[Tensor, Tensor]",
    )
    b.line(f"{a}, {c} = {call}({v})")
    b.defined(a, c)


@operator(2)
def loop(b: Builder) -> None:
    v, w = b.pick(4), b.fresh()
    call, end = block(b, v, False), b.choice([2, 3])
    b.lines(b.choice([
        f"{w} = {v}\nfor i in range({end}):\n    {w} = {call}({w})",
        f"{w} = {v}\ni = 0\nwhile i < {end}:\n    {w} = {call}({w})\n    i += 1",
        f"{w} = {v} * 0.5\nfor i in range({end}):\n    {w} = F.relu({w} - 0.1 * i)\n"
        f"    {w} = F.max_pool2d({w}, 2, 1, 1)[:, :, 1:, 1:]",
        f"{w} = {v} * 0.5\nfor i in range({end}):\n    {w}.add_({call}({w}))",
        f"{w} = {v} * 0.5\nfor i in range({end}):\n    {w}[:, 0] = {w}[:, -1] * 0.5\n    {w} = {w} + {v}",
    ]))  # fmt: skip
    b.defined(w)


@operator(2)
def condition(b: Builder) -> None:
    v, w = b.pick(4), b.fresh()
    call = block(b, v, False)
    on_values = f"bool({v}.mean() > {b.choice([-0.2, 0.07, 0.2])})" if b.scripted else f"{v}.dim() == 4"
    test = b.choice([f"{v}.size(1) > {b.choice([2, 4])}", on_values, f"{v}.size(2) == {v}.size(3)"])
    one, other = b.choice([
        (f"{w} = {call}({v})", f"{w} = F.relu({v})"), (f"{w} = {v}", f"{w} = {call}({v})"),
        (f"{w} = F.relu({v})", f"{w} = F.relu(-{v})"),
        (f"{w} = {v}.contiguous(memory_format=torch.channels_last)", f"{w} = {v}"),
        (f"{w} = {v}.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)", f"{w} = {v} * 1.0"),
    ])  # fmt: skip
    b.lines(f"if {test}:\n    {one}\nelse:\n    {other}")
    b.defined(w)


@operator(1.5)
def fork(b: Builder) -> None:
    v, w, a, c = b.pick(4), b.pick(4), b.fresh(), b.fresh()
    call = block(b, v, False)
    b.line(f"f{a} = torch.jit.fork({call}, {v})")
    b.line(f"{c} = F.relu({w} * 0.5)")
    b.line(f"{a} = torch.jit.wait(f{a})")
    b.defined(c, a)


@operator(0.7)
def list_of_forks(b: Builder) -> None:
    v, w = b.pick(4), b.fresh()
    call = block(b, v, False)
    b.line(f"f{w} = [torch.jit.fork({call}, {v}), torch.jit.fork({call}, -{v})]")
    b.define(f"torch.cat([torch.jit.wait(future) for future in f{w}], 1)")


@operator(2)
def written_in_control_flow(b: Builder) -> None:
    """Branches and loops that write to a value from outside."""
    v = b.written(4)
    on_values = f"bool({v}.mean() > 0.03)" if b.scripted else f"{v}.dim() == 4"
    b.lines(
        b.choice(
            [
                f"if {v}.size(1) > 2:\n    {v}.relu_()",
                f"if {on_values}:\n    {v}.mul_(-0.5)\nelse:\n    {v}.add_(0.2)",
                f"for i in range(2):\n    {v}.sub_(0.2)",
                f"for i in range(2):\n    {v}[:, :, i] = {v}[:, :, -1] * 0.5",
                f"for i in range({v}.size(1)):\n    {v}[:, i].relu_()",
                f"if {on_values}:\n    {v}[:, 0] = 0.5",
            ]
        )  # fmt: skip
    )


@operator(1)
def list_written_to(b: Builder) -> None:
    v, w, values = b.written(4), b.pick(4), b.fresh()
    b.line(f"l{values} = [{v}, {w}]")
    b.lines(b.choice([f"l{values}[0].relu_()", f"l{values}[0].mul_(-0.5)", f"l{values}[0] = F.relu(l{values}[1])"]))
    b.define(f"l{values}[0] * 0.5")


@operator(1)
def shared_module(b: Builder) -> None:
    v, w = b.pick(4), b.pick()
    layer = b.layer(b.choice(["nn.ReLU()", "nn.ReLU6()", "nn.Sequential(nn.ReLU(), nn.Hardtanh(0.0, 6.0))"]), "relu")
    one, other = b.fresh(), b.fresh()
    b.line(f"{one} = {layer}({v})")
    b.line(f"{other} = {layer}({w} - 0.3)")
    b.defined(one, other)


@operator(1)
def sequential(b: Builder) -> None:
    """Modules in modules, the first of which may rectify in place what comes in."""
    v = b.written(4)
    channels = b.value(v).size(1)
    first = b.choice(
        ["nn.ReLU(inplace=True)", f"nn.BatchNorm2d({channels})", "nn.Identity()", "nn.Dropout(inplace=True)"]
    )
    conv = f"nn.Conv2d({channels}, {channels}, 3, padding=1)"
    layer = b.layer(
        f"nn.Sequential({first}, nn.Sequential({conv}, nn.ReLU6(inplace=True)), nn.MaxPool2d(3, 1, 1))", "stage"
    )
    b.define(b.choice([f"{layer}({v})", f"{layer}({v}) + {v}", f"{layer}({v}).add_({v})"]))
