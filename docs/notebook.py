"""A spread and an imbalance of a recorded morning, from the bytes of the feed to a picture.

    python docs/notebook.py aapl.itch50 notebook.png

SPDX-License-Identifier: MIT
"""

# %% what is in the file
import sys

import numpy as np

import hwgw

path = sys.argv[1]
counts = {}
for batch in hwgw.decode(path):
    for kind, columns in batch.items():
        counts[kind] = counts.get(kind, 0) + len(columns["seq"])
print(sorted(counts.items(), key=lambda item: -item[1])[:4])

# %% features of every change of the top of book
wanted = ["spread", "mid", "microprice", "imbalance:5", "trade_sign", "trade_volume"]
rows = np.concatenate(list(hwgw.features(path, wanted, ["AAPL"])))
rows = rows[rows["mid"] > 0]  # two-sided
hours = rows["ts_ns"] / 3.6e12
spread = rows["spread"] / 10_000
imbalance = rows["imbalance"] / 65_536
print(f"{len(rows):,} changes, spread {np.median(spread):.2f} in the middle, {spread.min():.2f} to {spread.max():.2f}")

# %% does the imbalance know where the middle goes next?
step = np.sign(np.diff(rows["mid"]))
moved = step != 0
agrees = np.sign(imbalance[:-1][moved]) == step[moved]
print(f"{moved.sum():,} moves of the middle, {agrees.mean():.0%} of them towards the side with more shares behind it")

# %% the picture
import matplotlib

matplotlib.use("agg")  # without a screen
import matplotlib.pyplot as plt

figure, (top, below) = plt.subplots(2, sharex=True, figsize=(9, 5), layout="constrained")
top.plot(hours, spread, drawstyle="steps-post", linewidth=0.7)
top.set(ylabel="spread, USD", title="AAPL, 30 January 2020, before the opening: 10,000 messages")
window = 50
smooth = np.convolve(imbalance, np.ones(window) / window, mode="valid")
below.plot(hours, imbalance, drawstyle="steps-post", linewidth=0.3, color="0.7", label="of five levels")
below.plot(hours[window - 1 :], smooth, linewidth=1.2, color="C3", label=f"mean of {window} changes")
below.axhline(0, color="black", linewidth=0.5)
below.set(ylabel="imbalance", xlabel="hour of the day", ylim=(-1, 1))
below.legend(loc="lower left")
figure.savefig(sys.argv[2], dpi=90)
