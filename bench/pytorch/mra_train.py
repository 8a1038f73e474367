"""One training step of multi-reference alignment's encoders, written plainly in PyTorch: the yardstick
for `mra train`.

Batch, architecture and learning rate are those of bench/shapes.json ("mra_train"). A step draws a batch
of signals and shift densities, forms their moments' Fourier diagonals, whitens them, runs the signal's
and the density's encoder, takes the relative errors at the best grid shifts, goes back through all of
it and lets Adam take its step. Plainly means eager, with autograd, and as the formulas stand.

    python mra_train.py --threads 2
    python mra_train.py --threads 2 --orrery build/default/bin/mra

With --orrery both programs take turns on the same processors, and the ratio of their times is printed.
"""

import json

import torch
from torch import nn

from turns import options_of, take_turns, time_steps


def draw_mixtures(batch, n, components, device):
    """Mixtures of Gaussians wrapped around [0, 1), at j/n: (batch, n). Each draw has its own centres,
    widths and weights."""
    shape = (batch, components, 1)
    centres = torch.rand(shape, device=device)
    widths = 0.03 + 0.07 * torch.rand(shape, device=device)
    weights = 0.4 + 0.6 * torch.rand(shape, device=device)
    weights = weights / weights.sum(1, keepdim=True)
    distance = torch.arange(n, device=device) / n - centres
    distance = distance - distance.round()
    wrapped = sum(torch.exp(-0.5 * ((distance + turn) / widths) ** 2) for turn in (-1, 0, 1))
    return (weights / widths * wrapped).sum(1)


def draw_pairs(settings, device):
    """Signals of norm 1 and densities that sum to 1: both (batch, n)."""
    draw = (settings["batch"], settings["n"], settings["components"], device)
    signals, densities = draw_mixtures(*draw), draw_mixtures(*draw)
    return signals / signals.norm(dim=1, keepdim=True), densities / densities.sum(1, keepdim=True)


def encoder_inputs(signals, densities):
    """Channels over the n centred frequencies k: (batch, 5, n) of the first moment
    M1(k) = v(k) r(k), and (batch, n - 1, n) of the second moment's diagonals
    M2(k, k + d) = v(k) r(-d) v*(k + d) for d = 1 .. (n - 1)/2, both whitened by the power M2(k, k)."""
    n = signals.shape[1]
    v = torch.fft.fftshift(torch.fft.fft(signals, norm="ortho"), dim=1)
    r = torch.fft.fft(densities)
    d = torch.arange(1, (n + 1) // 2, device=signals.device)
    neighbours = (torch.arange(n, device=signals.device) + d[:, None]) % n
    first = v * torch.fft.fftshift(r, dim=1)
    power = v.abs().square()
    whitening = power.sqrt() / (power + 1e-3)
    diagonals = v[:, None] * r[:, -d, None] * v[:, neighbours].conj()
    diagonals = diagonals * (whitening[:, None] * whitening[:, neighbours])
    white = first * whitening
    first_inputs = [white.real, white.imag, power.sqrt(), first.real, first.imag]
    return torch.stack(first_inputs, 1), torch.cat([diagonals.real, diagonals.imag], 1)


class MomentEncoder(nn.Module):
    """Two branches of periodic convolutions, stacked, more convolutions, dense layers, n numbers."""

    def __init__(self, settings):
        super().__init__()
        n, slope = settings["n"], 0.02

        def convolutions(inputs, channels):
            layers = []
            for outputs in channels:
                window = settings["window"]
                layers += [
                    nn.Conv1d(
                        inputs, outputs, window, padding=window // 2, padding_mode="circular"
                    ),
                    nn.LeakyReLU(slope),
                ]
                inputs = outputs
            return nn.Sequential(*layers)

        first, second = settings["first_branch"], settings["second_branch"]
        self.first = convolutions(5, first)
        self.second = convolutions(n - 1, second)
        self.joint = convolutions(first[-1] + second[-1], settings["joint"])
        layers, inputs = [], settings["joint"][-1] * n
        for outputs in settings["dense"]:
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
            inputs = outputs
        self.dense = nn.Sequential(*layers, nn.Linear(inputs, n))

    def forward(self, first, second):
        stacked = torch.cat([self.first(first), self.second(second)], 1)
        return self.dense(self.joint(stacked).flatten(1))


def shift_error(found, truth, upsampling):
    """Mean relative error at the best shift, among the n of the grid or `upsampling` times as many:
    |found - shifted truth|^2 = |found|^2 + |truth|^2 - 2 correlation(shift)."""
    n = truth.shape[1]
    spectrum = torch.fft.rfft(found) * torch.fft.rfft(truth).conj()
    correlation = torch.fft.irfft(spectrum, n * upsampling) * upsampling
    best = correlation.amax(1)
    squared = found.square().sum(1) + truth.square().sum(1) - 2 * best
    return (squared.clamp_min(1e-12).sqrt() / truth.norm(dim=1)).mean()


def prepare(settings, device):
    """Networks and optimiser; returns the step as a function, and the number of parameters."""
    signal_encoder = MomentEncoder(settings).to(device)
    density_encoder = MomentEncoder(settings).to(device)
    parameters = [*signal_encoder.parameters(), *density_encoder.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=settings["learning_rate"])
    upsampling = settings["upsampling"]

    def step():
        optimiser.zero_grad()
        with torch.no_grad():
            signals, densities = draw_pairs(settings, device)
            first, second = encoder_inputs(signals, densities)
        signal_error = shift_error(signal_encoder(first, second), signals, upsampling)
        density = density_encoder(first, second).softmax(1)
        density_error = shift_error(density, densities, upsampling)
        (signal_error + density_error).backward()
        optimiser.step()
        return signal_error, density_error

    return step, sum(p.numel() for p in parameters)


def our_choices(settings):
    """The same training, for our program."""

    def layers(name):
        return ",".join(map(str, settings[name]))

    return {
        "components": settings["components"],
        "length": settings["n"],
        "window": settings["window"],
        "first-branch": layers("first_branch"),
        "second-branch": layers("second_branch"),
        "joint": layers("joint"),
        "dense": layers("dense"),
        "batch": settings["batch"],
        "learning-rate": settings["learning_rate"],
        "loss-shifts": "grid" if settings["upsampling"] == 1 else "continuous",
        "test-pairs": settings["batch"],
    }


def main():
    parser = options_of(__doc__, "mra", steps=40, rounds=5, orrery_steps=200)
    parser.add_argument("--upsampling", type=int, help="shifts a grid point, instead of the shapes'")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    settings = json.loads(options.shapes.read_text())["mra_train"]
    if options.upsampling:
        settings["upsampling"] = options.upsampling
    step, parameters = prepare(settings, torch.device(options.device))
    if options.compile:
        step = torch.compile(step)
    _, first_errors = time_steps(step, 5, options.device)  # also the warm-up

    result, _ = take_turns(options, step, ["train"], our_choices(settings))
    result |= {
        "settings": settings,
        "parameters": parameters,
        "pytorch_errors_at_start": first_errors,
    }
    for program in ("pytorch", "orrery"):
        if seconds := result.get(f"{program}_seconds_per_step"):
            result[f"{program}_samples_per_second"] = settings["batch"] / seconds
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
