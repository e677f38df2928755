"""Medians of interleaved rounds, with intervals that assume nothing about how the noise is distributed."""
from math import ceil, comb
from statistics import median


def interval(values, coverage=0.95):
    """The narrowest pair of order statistics that contains the true median with at least `coverage`.

    Below six values no pair does; then it is the whole range (five values: 94 %, three: 75 %).
    """
    ordered = sorted(values)
    n = len(ordered)
    outside, lowest = 0.0, 1
    for k in range(1, n // 2 + 1):
        outside += 2 * comb(n, k - 1) / 2**n
        if 1 - outside < coverage:
            break
        lowest = k
    return ordered[lowest - 1], ordered[n - lowest]


def paired_ratio(values, base):
    """Median and interval of value/base, round by round: what the machine does meanwhile hits both alike."""
    ratios = [value / reference for value, reference in zip(values, base, strict=True)]
    low, high = interval(ratios)
    return {"value": median(ratios), "low": low, "high": high, "rounds": len(ratios)}


def quantile(values, q):
    """The smallest value that at least the share q of all values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * q) - 1)]
