#!/usr/bin/env python3
"""Fit times of EASE and iALS relative to numpy and `implicit` in the same run.

  pip install numpy scipy implicit
  fits.py EVALUATE PEERS TRAIN HELD_OUT [ROUNDS]

EVALUATE is the program `recommendation-service`; PEERS is a script that fits the peers and prints a line
each, with the seconds at the end (`recommend_peers.py`); TRAIN and HELD_OUT are its files. Both fit in
turn, so that what the machine does meanwhile slows both; what is printed are medians and their ratios.
The peers' seconds include scoring all users, which is a small part of them.
"""
import re
import statistics
import subprocess
import sys

SETTINGS = [
    "ease.regularization=800",
    "ease.user_discount=0",
    "ease.item_discount=0",
    "ials.dimensions=128",
    "ials.epochs=8",
    "ials.unobserved_weight=0.3",
    "ials.regularization=0.007",
]
PEERS = {"EASE l=800": "numpy EASE", "iALS d=128": "numpy iALS", "implicit ALS": "implicit ALS, 15 epochs"}


def output(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ours(program, train, held_out):
    command = [program, "evaluate", "--train", train, "--test", held_out, "--models", "ease,ials"]
    for setting in SETTINGS:
        command += ["--set", setting]
    found = re.findall(r"^(ease|ials) +([0-9.]+) ", output(command), re.MULTILINE)
    return {name: float(seconds) for name, seconds in found[:2]}


def theirs(script, train, held_out):
    lines = output([sys.executable, script, train, held_out, "--only", ",".join(PEERS)]).splitlines()
    return {
        told: float(line.split()[-1])
        for name, told in PEERS.items()
        for line in lines
        if line.startswith(name) and "not run" not in line
    }


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    program, script, train, held_out = sys.argv[1:5]
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 3
    times = {}
    for _ in range(rounds):
        for name, seconds in {**ours(program, train, held_out), **theirs(script, train, held_out)}.items():
            times.setdefault(name, []).append(seconds)
    medians = {name: statistics.median(all_times) for name, all_times in times.items()}
    for name, seconds in medians.items():
        print(f"{name:24} {seconds:7.2f} s")
    for own, other in [("ease", "numpy EASE"), ("ials", "numpy iALS"), ("ials", "implicit ALS, 15 epochs")]:
        if other in medians:
            print(f"{own} takes {medians[own] / medians[other]:.2f} of the time of {other}")


if __name__ == "__main__":
    main()
