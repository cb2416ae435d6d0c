"""What was rectified and is written to later may be negative: padding must not win."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(108, 5)

    def forward(self, x: Tensor) -> Tensor:
        v = F.relu(x)
        v.view(-1).sub_(2)
        return self.fc(F.max_pool2d(v, 3, 2, 1).flatten(1))
