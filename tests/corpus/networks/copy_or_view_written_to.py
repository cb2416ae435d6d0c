"""Whether contiguous() copies depends on the layout; what is rectified in place is then the convolution's value or not."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.linear, self.fc = nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        v = self.conv(x)
        rows = v.permute(0, 2, 3, 1).contiguous()
        rows = self.linear(F.relu(rows, inplace=True))
        v = v + rows.permute(0, 3, 1, 2)
        return self.fc(v.mean((2, 3)))
