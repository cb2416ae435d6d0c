"""Layouts show in views: a prepared convolution lies channels-last."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3, stride=2)
        self.fc = nn.Linear(4 * 5 * 5, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(self.conv1(x)))
        x = x.view(x.size(0), -1)
        return self.fc(x)
