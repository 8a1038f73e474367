#!/usr/bin/env python3
"""The least that moments of images can take: reading the stack, and the same rank-k updates.

    bench/moments/yardstick.py particles.mrcs --box 63 --threads 2 [--moments build/default/bin/moments]

Reads the file block by block, and calls OpenBLAS's ssyrk on as many rows of box^2 numbers, in single
precision; nothing is transformed and nothing summed in double. With --moments the program itself is
run as well, in turns, and the ratio of the best times is printed. Needs NumPy.
"""

import argparse
import ctypes
import os
import subprocess
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stack")
    parser.add_argument("--box", type=int, default=63)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rows", type=int, default=4096, help="of a rank-k update")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--library", default="libopenblas.so.0")
    parser.add_argument("--moments", help="the program to compare with")
    parser.add_argument("--options", default="", help="more of its options")
    arguments = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = str(arguments.threads)

    import numpy as np

    blas = ctypes.CDLL(arguments.library)
    row_major, upper, transposed = 101, 121, 112
    size = np.fromfile(arguments.stack, np.int32, 3)
    pixels, images, numbers = int(size[0]) ** 2, int(size[2]), arguments.box**2
    rows = np.random.default_rng(1).standard_normal((arguments.rows, numbers), np.float32)
    sums = np.zeros((numbers, numbers), np.float32)
    block = np.empty((256, pixels), np.float32)
    address = ctypes.c_void_p

    def read():
        with open(arguments.stack, "rb", buffering=0) as file:
            file.seek(1024)
            while file.readinto(block):
                pass

    def multiply():
        for first in range(0, images, arguments.rows):
            count = min(arguments.rows, images - first)
            blas.cblas_ssyrk(row_major, upper, transposed, numbers, count, ctypes.c_float(1),
                             address(rows.ctypes.data), numbers, ctypes.c_float(1),
                             address(sums.ctypes.data), numbers)

    def moments():
        subprocess.run([arguments.moments, arguments.stack, "-o", "/tmp/yardstick.h5", "--overwrite",
                        "--quiet", "--box", str(arguments.box), "--threads", str(arguments.threads),
                        *arguments.options.split()], check=True)

    def seconds(work):
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    least = {"read": [], "rank-k updates": [], "moments": []}
    for _ in range(arguments.rounds):
        least["read"].append(seconds(read))
        least["rank-k updates"].append(seconds(multiply))
        if arguments.moments:
            least["moments"].append(seconds(moments))
    for name, times in least.items():
        if times:
            print(f"{name:15} {min(times):7.2f} s   ({', '.join(f'{t:.2f}' for t in times)})")
    if arguments.moments:
        yardstick = min(least["read"]) + min(least["rank-k updates"])
        print(f"speed against the yardstick: {yardstick / min(least['moments']):.2f}")


if __name__ == "__main__":
    main()
