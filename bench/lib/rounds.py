"""Interleaved rounds: every variant once a round, in an order that changes, so that drift of the machine is shared."""
import random


def interleave(variants, rounds, measure, say):
    """measure(variant) -> dict of figures; returns {variant: [dict, one a round]}. `variants` maps a name to how many
    of the rounds it takes part in (slow peers need not run in all; they run in the first ones)."""
    taken = {name: [] for name in variants}
    shuffle = random.Random(20)
    for number in range(rounds):
        order = [name for name, most in variants.items() if number < most]
        shuffle.shuffle(order)
        for name in order:
            figures = measure(name)
            taken[name].append(figures)
            say(f"round {number + 1}/{rounds}  {name}: " + "  ".join(f"{k} {_short(v)}" for k, v in figures.items()))
    return taken


def column(taken, name, figure):
    return [figures[figure] for figures in taken[name]]


def _short(value):
    return f"{value:,.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}" if isinstance(
        value, (int, float)) else str(value)
