"""A value of which several places are one place in memory cannot be written to."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 1, 3), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        v = torch.relu(self.conv(x).mean((2, 3), keepdim=True).expand(-1, 6, 1, 1))
        return self.fc(v.flatten(1))
