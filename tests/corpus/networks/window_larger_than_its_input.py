"""In ceil mode a window may reach over an input that is smaller than it."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        v = self.conv(x)
        w = F.max_pool2d(v[:, :, :1, :1], 2, ceil_mode=True)
        return self.fc(torch.cat([F.max_pool2d(v, 5, stride=2, ceil_mode=True).flatten(1), w.flatten(1)], 1))
