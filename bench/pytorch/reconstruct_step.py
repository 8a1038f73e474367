"""One step of the reconstruction, written in PyTorch: the yardstick for apps/reconstruct.

The networks, the quadrature's size and the loss are those of bench/shapes.json: "reconstruct_step", the
demo's, or with --paper "reconstruct_step_paper", the paper's networks at 63 voxels. Two ways of writing it:

    plain      as the formulas stand: every one of the views is evaluated on its whole n x n slice, the
               moments are complex, autograd does the rest. Nothing is tuned, and nothing is done twice on
               purpose.
    --reduced  with the symmetries that our program uses: slices that are others' turned or seen from behind
               are permutations of them, half of each slice gives the other half, and the moments are real
               (in the Hartley basis).

    python reconstruct_step.py --threads 2
    python reconstruct_step.py --threads 2 --paper --reduced --orrery build/default/bin/reconstruct

With --orrery both programs take turns on the same processors, and the ratio of their times is printed.
With --device cuda both run on the GPU; --tf32 rounds PyTorch's products, and --compile has torch.compile
fuse its networks. Where the activations of all points do not fit into memory, --chunk N evaluates so many at a time and again
on the way back. Large tensors come and go in every step, and the C library gives their memory back to the
system each time; --keep-memory tells it not to, which makes PyTorch's step faster and its memory larger.
"""

import ctypes
import json
import math
import resource

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from turns import options_of, take_turns


class SineNetwork(nn.Module):
    """Coordinates -> sine layers -> two linear outputs (Sitzmann et al. 2020)."""

    def __init__(self, width, hidden_layers, frequency):
        super().__init__()
        self.frequency = frequency
        widths = [3] + [width] * (1 + hidden_layers)
        self.sine_layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.output = nn.Linear(width, 2)
        with torch.no_grad():
            for i, layer in enumerate([*self.sine_layers, self.output]):
                fan_in = layer.in_features
                bound = 1 / fan_in if i == 0 else math.sqrt(6 / fan_in) / frequency
                layer.weight.uniform_(-bound, bound)
                layer.bias.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def forward(self, x):
        for layer in self.sine_layers:
            x = torch.sin(self.frequency * layer(x))
        return self.output(x)


class FourierNet(nn.Module):
    """A volume's Fourier transform (Levy et al. 2022): re = exp(e0) m0, im = exp(e1) m1."""

    def __init__(self, settings, amplitude, chunk):
        super().__init__()
        width = settings["width"]
        self.amplitude = amplitude
        self.chunk = chunk
        self.modulant = SineNetwork(
            width, settings["modulant_hidden_layers"], settings["modulant_frequency"]
        )
        self.envelope = SineNetwork(
            width, settings["envelope_hidden_layers"], settings["envelope_frequency"]
        )

    def evaluate(self, coordinates):
        value = self.amplitude * torch.exp(self.envelope(coordinates))
        return torch.view_as_complex(value * self.modulant(coordinates))

    def forward(self, coordinates):
        """(..., 3) -> complex (...), without Hermitian symmetry."""
        if not self.chunk:
            return self.evaluate(coordinates)
        parts = coordinates.reshape(-1, 3).split(self.chunk)
        values = [checkpoint(self.evaluate, part, use_reentrant=False) for part in parts]
        return torch.cat(values).reshape(coordinates.shape[:-1])


def view_rotations(directions, angles):
    """Rotations (views, 3, 3) whose third rows are a Fibonacci lattice, each with in-plane angles. The
    time of a step does not depend on where the directions lie."""

    def turn(angle, axes):
        """Rotations by each angle in the plane of two axes."""
        a, b = axes
        matrix = torch.eye(3, dtype=torch.float64).repeat(len(angle), 1, 1)
        matrix[:, a, a], matrix[:, a, b] = angle.cos(), -angle.sin()
        matrix[:, b, a], matrix[:, b, b] = angle.sin(), angle.cos()
        return matrix

    i = torch.arange(directions, dtype=torch.float64) + 0.5
    polar = torch.acos(1 - 2 * i / directions)
    azimuth = math.pi * (1 + math.sqrt(5)) * i
    looking_along = turn(-polar, (2, 0)) @ turn(-azimuth, (0, 1))
    in_plane = turn(2 * math.pi * torch.arange(angles, dtype=torch.float64) / angles, (0, 1))
    return (in_plane[None] @ looking_along[:, None]).reshape(-1, 3, 3)


def slice_grid(n, rotations):
    """R^T (kx, ky, 0) for integer |kx|, |ky| <= (n-1)/2: (views, n^2, 3), kx fastest."""
    k = torch.arange(n, dtype=torch.float64) - (n - 1) // 2
    ky, kx = torch.meshgrid(k, k, indexing="ij")
    plane = torch.stack([kx, ky, torch.zeros_like(kx)], -1).reshape(-1, 3)
    return plane @ rotations  # row vectors: k R = (R^T k)^T


def phantom_slices(n, frequencies):
    """Four Gaussians' exact transform: a target that a volume can reach."""
    means = torch.tensor(
        [[0.13, 0.05, -0.09], [-0.12, 0.10, 0.06], [0.02, -0.14, 0.08], [-0.04, -0.03, -0.13]],
        dtype=torch.float64,
    )
    widths = torch.tensor([0.06, 0.07, 0.055, 0.08], dtype=torch.float64)
    value = 0
    for mean, width in zip(means, widths):
        phase = -2 * math.pi * (frequencies @ mean)
        size = torch.exp(-2 * (math.pi * width) ** 2 * frequencies.square().sum(-1))
        value = value + torch.polar(size, phase)
    return value / math.sqrt(n)


def moments(slices, weights):
    """M1 = sum_j z_j s_j,  M2 = sum_j z_j s_j s_j^*."""
    weighted = slices * weights[:, None]
    return weighted.sum(0), weighted.T @ slices.conj()


class PlainSlices:
    """Every view's whole slice. A slice holds -k wherever it holds k, at the mirrored index, so Hermitian
    symmetry is the mean with the slice's own mirror image."""

    def __init__(self, n, directions, angles):
        self.frequencies = slice_grid(n, view_rotations(directions, angles))
        self.coordinates = (self.frequencies / ((n - 1) / 2)).float()
        self.points = self.coordinates.shape[0] * self.coordinates.shape[1]

    def of_phantom(self, n):
        return phantom_slices(n, self.frequencies).to(torch.complex64)

    def of(self, volume):
        value = volume(self.coordinates)
        return (value + value.flip(-1).conj()) / 2


class ReducedSlices:
    """The same number of views from the slices that are not permutations of others: of a design that holds
    each direction's opposite, half the directions and a quarter of the in-plane angles. Real, in the Hartley
    basis: h(k) = re - im."""

    def __init__(self, n, directions, angles):
        self.frequencies = slice_grid(n, view_rotations(directions // 2, angles // 4))
        middle = (n * n - 1) // 2
        half = (self.frequencies[:, middle:] / ((n - 1) / 2)).float()
        self.coordinates = torch.stack([half, -half])  # at k and at -k, for the Hermitian mean
        self.points = self.coordinates.numel() // 3
        self.copies = torch.stack([self.permutation(n, g) for g in range(8)])

    @staticmethod
    def permutation(n, g):
        """Where copy g, turned by 90 g degrees and from 4 on seen from behind, finds its numbers."""
        index = torch.arange(n * n).reshape(n, n)
        return (index.flip(0) if g >= 4 else index).rot90(g % 4).reshape(-1)

    def expanded(self, half):
        """Half planes (views, (n^2 + 1) / 2) -> Hartley slices of all copies (8 views, n^2)."""
        upper, lower = half.real - half.imag, half.real + half.imag
        middle = half.real[:, :1]
        slices = torch.cat([lower[:, 1:].flip(-1), middle, upper[:, 1:]], -1)
        return slices[:, self.copies].flatten(0, 1)

    def of_phantom(self, n):
        return self.expanded(
            phantom_slices(n, self.frequencies[:, (n * n - 1) // 2 :]).to(torch.complex64)
        )

    def of(self, volume):
        at, opposite = volume(self.coordinates)
        return self.expanded((at + opposite.conj()) / 2)


def prepare(settings, reduced, chunk, device, compiled):
    """Everything that does not change from step to step; returns the step as a function."""
    n = settings["n"]
    directions, angles = settings["directions"], settings["angles"]
    slices = (ReducedSlices if reduced else PlainSlices)(n, directions, angles)

    true_slices = slices.of_phantom(n).to(device)
    slices.coordinates = slices.coordinates.to(device)
    copies = true_slices.shape[0] // directions  # views that share a weight
    true_weights = torch.rand(directions, device=device).repeat_interleave(copies)
    true_first, true_second = moments(true_slices, true_weights / true_weights.sum())
    first_norm, second_norm = true_first.norm(), true_second.norm()

    amplitude = float(true_slices.abs().square().mean().sqrt())
    volume = FourierNet(settings, amplitude, chunk).to(device)
    if compiled:
        volume.evaluate = torch.compile(volume.evaluate)
    logits = nn.Parameter(torch.zeros(directions, device=device))  # the view density's
    optimiser = torch.optim.Adam(
        [*volume.parameters(), logits], lr=settings["learning_rate"], amsgrad=True
    )

    def step():
        optimiser.zero_grad()
        weights = logits.softmax(0).repeat_interleave(copies) / copies
        first, second = moments(slices.of(volume), weights)
        first_error = (first - true_first).norm() / first_norm
        second_error = (second - true_second).norm() / second_norm
        (first_error + settings["lambda"] * second_error).backward()
        optimiser.step()
        return first_error.item(), second_error.item()

    return step, slices.points


def our_choices(settings):
    """The same step, for our program: steps of Adam alone, the real-space penalty, which the step here
    does not have, left as the program has it."""
    return {
        "box": settings["n"],
        "directions": settings["directions"],
        "angles": settings["angles"],
        "width": settings["width"],
        "modulant-layers": settings["modulant_hidden_layers"],
        "envelope-layers": settings["envelope_hidden_layers"],
        "modulant-frequency": settings["modulant_frequency"],
        "envelope-frequency": settings["envelope_frequency"],
        "lambda": settings["lambda"],
        "learning-rate": settings["learning_rate"],
        "density-prior": "weights",
        "coarse-box": 0,
        "finish": 0,
    }


def keep_memory():
    """Has glibc serve every size from a heap that is never trimmed."""
    most_mapped_blocks, trim_threshold = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    libc = ctypes.CDLL(None)
    libc.mallopt(most_mapped_blocks, 0)
    libc.mallopt(trim_threshold, -1)


def main():
    parser = options_of(__doc__, "reconstruct", steps=3, rounds=3, orrery_steps=50)
    parser.add_argument("--paper", action="store_true", help="the paper's networks, 63 voxels")
    parser.add_argument("--reduced", action="store_true", help="use the symmetries of the slices")
    parser.add_argument("--chunk", type=int, default=0, help="points evaluated at a time; 0: all")
    parser.add_argument("--tf32", action="store_true", help="PyTorch's products in TF32")
    parser.add_argument("--keep-memory", action="store_true", help="glibc: never give memory back")
    options = parser.parse_args()

    if options.keep_memory:
        keep_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high" if options.tf32 else "highest")
    settings = json.loads(options.shapes.read_text())[
        "reconstruct_step_paper" if options.paper else "reconstruct_step"
    ]
    step, points = prepare(
        settings, options.reduced, options.chunk, options.device, options.compile
    )
    first_errors = step()  # also the warm-up: the first step takes the memory

    result, summary = take_turns(options, step, [], our_choices(settings))
    result |= {
        "settings": settings,
        "reduced": options.reduced,
        "chunk": options.chunk,
        "tf32": options.tf32,
        "memory_kept": options.keep_memory,
        "pytorch_points_per_step": points,
        "pytorch_peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "pytorch_errors_at_start": first_errors,
    }
    if summary:
        result["orrery_points_per_step"] = summary["decoder_points_per_step"]
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
