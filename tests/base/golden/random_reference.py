"""Prints the known answers of tests/base/random_test.cpp from an independent implementation.

Needs xxhash and numpy: numpy's PCG64 is the same PCG-XSL-RR 128/64, so only the seeding is written out here.
"""
import statistics

import numpy
import xxhash


def stream(seed: int, name: str) -> numpy.random.PCG64:
    key = seed.to_bytes(8, "little") + name.encode()
    mask = (1 << 128) - 1
    increment = ((xxhash.xxh3_128(key, seed=1).intdigest() << 1) | 1) & mask
    state = (increment + xxhash.xxh3_128(key, seed=0).intdigest()) & mask
    state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + increment) & mask
    generator = numpy.random.PCG64()
    generator.state = {"bit_generator": "PCG64", "state": {"state": state, "inc": increment},
                       "has_uint32": 0, "uinteger": 0}
    return generator


def draws(seed: int, name: str, count: int) -> list[int]:
    return [int(x) for x in stream(seed, name).random_raw(count)]


for seed, name in [(0, ""), (7, "data/shuffle/epoch-3"), (2**64 - 1, "weights")]:
    print(seed, repr(name), [hex(x) for x in draws(seed, name, 4)])
quantile = statistics.NormalDist().inv_cdf
print("uniform", [repr((x >> 11) * 2.0**-53) for x in draws(7, "u", 4)])
print("normal", [repr(quantile(((x >> 12) + 0.5) * 2.0**-52)) for x in draws(7, "n", 8)])
print("below 10", [(x * 10) >> 64 for x in draws(7, "b", 12)])  # no refusal for a bound this small
