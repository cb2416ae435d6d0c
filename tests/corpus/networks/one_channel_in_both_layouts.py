"""One channel lies contiguous and channels-last at once; what is rectified is contiguous, and so is its convolution."""


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, (1, 3), stride=(1, 2)), nn.Conv2d(3, 4, 1)
        self.fc = nn.Linear(480, 5)

    def forward(self, x: Tensor) -> Tensor:
        v = self.conv1(F.relu(x[:, :1].contiguous().to(memory_format=torch.channels_last)))
        w = self.conv2(F.relu(x.mean((2, 3), keepdim=True).to(memory_format=torch.channels_last)))
        return self.fc(v.view(x.size(0), -1)) + w.view(x.size(0), -1).mean(1, keepdim=True)
