"""Files of spikes: what is read as it is, and what is refused."""

import pickle
import re

import h5py
import numpy as np
import pytest

from lit_delays.data.storage.spike_files import open_spikes
from lit_delays.errors import InputError
from tests.data.three import UNITS, assert_is_the_file, write


def test_what_is_packed_is_what_was_in_the_file(source):
    assert_is_the_file(open_spikes(source))


def test_the_real_speech_is_packed_as_it_is(speech):
    arrays = open_spikes(speech / "fsdd_test.h5")
    with h5py.File(speech / "fsdd_test.h5", locking=False) as file:
        np.testing.assert_array_equal(arrays.times, np.concatenate(file["spikes/times"][:]))
        np.testing.assert_array_equal(arrays.units, np.concatenate(file["spikes/units"][:]))
        assert len(arrays) == 750


def test_samples_are_gathered_in_the_order_asked_for(source):
    times, units, lengths = open_spikes(source).gather(np.array([2, 1, 0, 2]))
    assert units.tolist() == [0, 5, 699, 0]
    assert lengths.tolist() == [1, 0, 2, 1]
    assert times.tolist() == np.float16([1.0, 0.1, 0.25, 1.0]).tolist()


def test_arrays_travel_as_a_path(source):
    travelling = pickle.dumps(open_spikes(source))
    assert len(travelling) < 1000
    assert_is_the_file(pickle.loads(travelling))


def test_speakers_and_names_may_be_missing(tmp_path):
    arrays = open_spikes(write(tmp_path / "plain.h5", speaker=None, keys=None))
    assert arrays.speakers is None
    assert arrays.class_names == ()
    assert arrays.names == ("0", "1")


def test_unsorted_times_are_sorted_and_keep_their_units(tmp_path):
    path = write(
        tmp_path / "mixed.h5", times=([0.5, 0.25, 0.5, 0.25], [], [1]), units=([1, 2, 3, 4], [], [5])
    )
    times, units = open_spikes(path).sample(0)
    assert times.tolist() == [0.25, 0.25, 0.5, 0.5]
    assert units.tolist() == [2, 4, 1, 3]


def test_a_file_of_silence_is_a_file(tmp_path):
    arrays = open_spikes(write(tmp_path / "silence.h5", times=([], [], []), units=([], [], [])))
    assert arrays.gather(np.array([0, 2]))[2].tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finer_times_keep_their_precision(tmp_path, dtype):
    path = write(tmp_path / "fine.h5", time_dtype=dtype, unit_dtype=np.int64)
    assert_is_the_file(open_spikes(path), time_dtype=dtype)


BAD = [
    ({"times": None}, "`spikes/times` is missing; the file must follow SHD's layout."),
    ({"units": None}, "`spikes/units` is missing; the file must follow SHD's layout."),
    ({"labels": None}, "`labels` is missing; the file must follow SHD's layout."),
    ({"labels": [1, 0]}, "`extra/speaker` must have one entry a label (2), got 3."),
    ({"labels": [1, 0], "speaker": None}, "`spikes/times` must have one entry a label (2), got 3."),
    ({"units": UNITS[:2]}, "`spikes/units` must have one entry a label (3), got 2."),
    ({"units": ([5], [], [0])}, "`spikes/units` of sample 0 must have one entry a spike time (2), got 1."),
    ({"labels": np.zeros(0, int)}, "`labels` must hold at least one sample, got 0."),
    ({"labels": [0, -2, 0]}, "`labels` of sample 1 must be at least 0, or -1 for unknown, got -2."),
    (
        {"labels": [0, 1, 2]},
        "`labels` of sample 2 must be below the number of names in `extra/keys` (2), got 2.",
    ),
    ({"keys": [b"yes", b"yes"]}, "`extra/keys` must differ, got 'yes' for class 0 and class 1."),
    ({"labels": [0.0, 1.0, 1.0]}, "`labels` must hold integers, got float64."),
    ({"labels": [[0], [1], [1]]}, "`labels` must have one dimension, got 2."),
    ({"speaker": [0.5, 1.0, 1.0]}, "`extra/speaker` must hold integers, got float64."),
    ({"keys": [1, 2]}, "`extra/keys` must hold texts, got int64."),
    ({"units": ([5, 700], [], [0])}, "`spikes/units` of sample 0 must be 0 to 699, got 700."),
    (
        {"units": ([5, -3], [], [0]), "unit_dtype": int},
        "`spikes/units` of sample 0 must be 0 to 699, got -3.",
    ),
    ({"times": ([0, 1], [], [-1])}, "`spikes/times` of sample 2 must be 0 to 60 s, got -1.0."),
    ({"times": ([0, 1], [], [np.nan])}, "`spikes/times` of sample 2 must be 0 to 60 s, got nan."),
    ({"times": ([0, np.inf], [], [1])}, "`spikes/times` of sample 0 must be 0 to 60 s, got inf."),
    ({"times": ([0, 61], [], [1])}, "`spikes/times` of sample 0 must be 0 to 60 s, got 61.0."),
    ({"time_dtype": np.int32}, "`spikes/times` must hold lists of floats, got lists of int32."),
    ({"unit_dtype": np.float32}, "`spikes/units` must hold lists of integers, got lists of float32."),
]


@pytest.mark.parametrize(("changes", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, changes, sentence):
    path = write(tmp_path / "bad.h5", **changes)
    with pytest.raises(InputError, match="^" + re.escape(f"{path}: {sentence}") + "$"):
        open_spikes(path)


def test_a_missing_file_says_where_it_was_sought(tmp_path):
    path = tmp_path / "none.h5"
    with pytest.raises(InputError, match="^" + re.escape(f"cannot find {path}; check the path.") + "$"):
        open_spikes(path)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("spikes")
    with pytest.raises(InputError, match=re.escape(f"{path} must be a whole HDF5 file; HDF5 says: ")):
        open_spikes(path)


@pytest.mark.parametrize("dtype", [">i8", ">u2", ">i4", "<u1"])
def test_labels_and_speakers_are_read_in_any_byte_order(tmp_path, dtype):
    path = write(tmp_path / "big.h5", labels=np.array([1, 0, 1], dtype), speaker=np.array([3, 3, 4], dtype))
    assert_is_the_file(open_spikes(path))


@pytest.mark.parametrize(
    ("dtypes", "name", "kind"),
    [({"time_dtype": np.dtype(f">f{size}")}, "times", f"floats f{size}") for size in (2, 4, 8)]
    + [({"unit_dtype": np.dtype(f">{kind}")}, "units", f"integers {kind}") for kind in ("u2", "i4", "i8")],
)
def test_lists_in_the_other_byte_order_are_refused_and_it_is_named(tmp_path, dtypes, name, kind):
    """h5py hands their bytes over as if they were in ours: 5 would be read as 1280."""
    path = write(tmp_path / "big.h5", **dtypes)
    of, dtype = kind.split()
    rule = (
        f"{path}: `spikes/{name}` must hold lists of {of} in little-endian byte order, got big-endian"
        f" >{dtype}; write them as h5py.vlen_dtype('<{dtype}')."
    )
    with pytest.raises(InputError, match="^" + re.escape(rule) + "$"):
        open_spikes(path)


def test_minus_zero_is_zero(tmp_path):
    times = open_spikes(write(tmp_path / "zero.h5", times=([0.0, -0.0], [], [1.0]))).times
    assert not np.signbit(times).any()


def with_external(file, other):
    file["labels"] = h5py.ExternalLink(str(other), "labels")


def with_soft_link(file, other):
    file["others"] = [1, 0, 1]
    file["labels"] = h5py.SoftLink("/others")


def with_external_storage(file, other):
    file.create_dataset("labels", (3,), "u1", external=[(str(other), 0, 3)])


def with_virtual_data(file, other):
    layout = h5py.VirtualLayout((3,), int)
    layout[:] = h5py.VirtualSource(str(other), "labels", (3,))
    file.create_virtual_dataset("labels", layout)


def with_another_filter(file, other):
    file.create_dataset("labels", data=[1, 0, 1], scaleoffset=0)


def with_a_promise(file, other):
    file.create_dataset("labels", (10**12,), "u1", chunks=(1024,))


LINK = "must not be a link to another place; store the data there."
FOREIGN = "must hold its data itself, not point to another file; copy the data."
HOSTILE = {
    with_external: LINK,
    with_soft_link: LINK,
    with_external_storage: FOREIGN,
    with_virtual_data: FOREIGN,
    with_a_promise: "must have at most 10,000,000 entries, got 1,000,000,000,000.",
    with_another_filter: "must use no filters but gzip, shuffle, fletcher32, lzf,"
    " got HDF5 filter 6; repack it.",
}


@pytest.mark.parametrize("trick", HOSTILE, ids=lambda trick: trick.__name__)
def test_a_file_that_points_elsewhere_is_refused(source, tmp_path, trick):
    path = write(tmp_path / "hostile.h5", labels=None)
    with h5py.File(path, "a") as file:
        trick(file, source)
    with pytest.raises(InputError, match="^" + re.escape(f"{path}: `labels` {HOSTILE[trick]}") + "$"):
        open_spikes(path)


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_compressed_files_are_read(tmp_path, compression):
    path = write(tmp_path / "small.h5", labels=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("labels", data=[1, 0, 1], compression=compression, shuffle=True, fletcher32=True)
    assert_is_the_file(open_spikes(path))
