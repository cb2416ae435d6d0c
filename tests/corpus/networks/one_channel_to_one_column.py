"""oneDNN goes wrong where one channel is convolved in steps of one row and two columns to a single column."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.linear, self.fc = nn.Conv2d(1, 6, 3, stride=(1, 2), padding=(0, 1)), nn.Linear(1, 4), nn.Linear(72, 5)

    def forward(self, x: Tensor) -> Tensor:
        v = F.max_pool2d(x[:, :1], 5, stride=2, padding=(1, 0), dilation=(1, 2))
        return self.fc(self.linear(self.conv(v)).view(x.size(0), -1))
