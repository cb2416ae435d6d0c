"""What is rectified in the first turn of a loop is not in the second."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3 * 12 * 12, 5)

    def forward(self, x: Tensor) -> Tensor:
        v = F.relu(x)
        for _ in range(2):
            v = F.max_pool2d(v, 3, 1, 1) - 1.5
        return self.fc(v.flatten(1))
