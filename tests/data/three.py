"""Three samples in a file of SHD's layout, and whether they came through."""

import h5py
import numpy as np

TIMES = ([0.1, 0.25], [], [1.0])
UNITS = ([5, 699], [], [0])
GOOD = {"times": TIMES, "units": UNITS, "labels": [1, 0, 1], "speaker": [3, 3, 4], "keys": [b"no", b"yes"]}


def lists(rows, dtype):
    filled = np.empty(len(rows), object)
    filled[:] = [np.array(row, dtype) for row in rows]
    return filled


def write(path, time_dtype=np.float16, unit_dtype=np.uint16, **changes):
    content = GOOD | changes
    with h5py.File(path, "w") as file:
        for name, dtype in (("times", time_dtype), ("units", unit_dtype)):
            if (rows := content[name]) is not None:
                file.create_dataset(f"spikes/{name}", data=lists(rows, dtype), dtype=h5py.vlen_dtype(dtype))
        for name, place in (("labels", "labels"), ("speaker", "extra/speaker"), ("keys", "extra/keys")):
            if content[name] is not None:
                file[place] = np.array(content[name])
    return path


def assert_is_the_file(arrays, time_dtype=np.float16):
    assert len(arrays) == 3
    for index in range(3):
        times, units = arrays.sample(index)
        assert times.dtype == time_dtype
        np.testing.assert_array_equal(times, time_dtype(TIMES[index]))
        assert units.tolist() == list(UNITS[index])
    assert arrays.labels.tolist() == [1, 0, 1]
    assert arrays.speakers.tolist() == [3, 3, 4]
    assert arrays.class_names == ("no", "yes")
