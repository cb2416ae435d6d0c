"""An einsum of one operand may be a view, and what is written to it is written to the operand: here, to the images."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(12, 12, 3, padding=1), nn.Linear(288, 5)

    def forward(self, x: Tensor) -> Tensor:
        v = torch.einsum("nchw->nhwc", x.narrow(1, 0, 1))
        w = self.conv(F.relu(v, inplace=True))
        return self.fc(torch.cat([v, w], -1).reshape(x.size(0), -1))
