"""A normalisation must not go into a linear layer that others read, nor where it is not along the layer's features."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear1, self.norm1 = nn.Linear(12, 12), nn.BatchNorm2d(3)
        self.linear2, self.norm2, self.fc = nn.Linear(432, 3), nn.BatchNorm1d(3), nn.Linear(3, 5)
        self.linear3, self.norm3 = nn.Linear(12, 3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        v = self.norm1(self.linear1(x))
        v = F.relu(self.linear2(v.flatten(1)))
        w = self.norm2(self.linear2(x.flatten(1)))
        u = self.linear2(-x.flatten(1))
        u = self.norm2(u) + 0.5 * u
        return self.fc(v + w + u) + self.fc(self.norm3(self.linear3(x)).mean(2)).mean(1)
