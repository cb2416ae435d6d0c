"""What a fork rectifies and pools is a site, whoever waits for it."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(8, 5)

    def branch(self, v: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.conv(v)), 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        futures = [torch.jit.fork(self.branch, x), torch.jit.fork(self.branch, -x)]
        parts = [torch.jit.wait(future) for future in futures]
        return self.fc(torch.cat(parts, 1).mean((2, 3)))
