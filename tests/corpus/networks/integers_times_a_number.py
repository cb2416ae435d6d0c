"""A trace keeps the number as a tensor of float64 without axes, which must not make the product one."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(108, 5)

    def forward(self, x: Tensor) -> Tensor:
        v, indices = F.max_pool2d(x, 2, return_indices=True)
        return self.fc((v + 0.01 * indices).flatten(1))
