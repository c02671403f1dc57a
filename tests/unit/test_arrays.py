"""Sets of numbers, against those of Python."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapscope.arrays import among, common, unique, zeros
from mapscope.goruntime.index import SPAN_DTYPE

DTYPES = (np.uint8, np.int32, np.int64, np.uint64)
NUMBERS = st.lists(st.integers(0, 20) | st.sampled_from([100, 127]), max_size=40)


@given(values=NUMBERS, dtype=st.sampled_from(DTYPES))
def test_unique_is_a_sorted_set(values, dtype):
    found = unique(np.array(values, dtype=dtype))
    assert found.dtype == dtype
    assert found.tolist() == sorted(set(values))


@given(values=NUMBERS, wanted=NUMBERS, dtype=st.sampled_from(DTYPES))
def test_among_and_common_are_membership(values, wanted, dtype):
    one, other = np.array(values, dtype=dtype), np.array(wanted, dtype=dtype)
    assert among(one, other).tolist() == [value in wanted for value in values]
    assert among(one, wanted).tolist() == among(one, other).tolist()
    assert common(one, other).tolist() == sorted(set(values) & set(wanted))


def test_numbers_beyond_float64_are_told_apart():
    high = np.array([(1 << 64) - 1, (1 << 64) - 2, 1 << 63], dtype=np.uint64)
    assert among(high, high[:1]).tolist() == [True, False, False]
    assert unique(high[::-1]).tolist() == sorted(high.tolist())


@pytest.mark.parametrize("shape", [(2, 3), (0, 3), (6,)])
def test_any_shape_will_do(shape):
    values = np.arange(int(np.prod(shape))).reshape(shape) % 3
    assert among(values, [0, 2]).tolist() == (values != 1).tolist()
    assert unique(values).tolist() == sorted(set(values.reshape(-1).tolist()))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, SPAN_DTYPE])
@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_zeros_are_zeros(count, dtype):
    made = zeros(count, dtype)
    assert (made.dtype, len(made)) == (dtype, count)
    assert not made.view(np.uint8).any()


@pytest.mark.parametrize("count", [1, 1 << 18])
def test_zeros_can_be_written(count):
    made = zeros(count, np.uint64)
    made[:] = 7
    assert made.min() == made.max() == 7
    assert not zeros(count, np.uint64).any(), "nobody else's"


def test_more_zeros_than_there_is_memory():
    with pytest.raises(MemoryError):
        zeros(1 << 59, np.uint8)


def test_masked_arrays_are_not_imported():
    """What this module is for."""
    lines = (
        "import sys, numpy as np",
        "from mapscope.arrays import among, common, unique",
        "a = np.arange(100)",
        "among(a, a), common(a, a), unique(a)",
        "print('numpy.ma' in sys.modules)",
    )
    told = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
