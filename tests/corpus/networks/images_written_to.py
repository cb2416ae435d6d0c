"""The images of the next pass are those of this one."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x.sub_(0.3).div_(2)
        x[:, 1:].relu_()
        v = self.conv(x)
        v.relu_()
        return self.fc(v.mean((2, 3)))
