"""Files that a stranger might send: broken, cut, wrong, greedy, or pointing elsewhere. None may be read.

Every maker takes a path, writes a file there, and starts from a good one where that makes sense.
"""

import os
import struct
import zlib

import h5py
import numpy as np

MAKERS = {}


def maker(function):
    MAKERS[function.__name__] = function
    return function


def lists(rows, dtype):
    filled = np.empty(len(rows), object)
    filled[:] = [np.array(row, dtype) for row in rows]
    return filled


def good(path, without=(), libver="earliest", **changes):
    """Three samples, two classes. ``changes`` are what lies at a place, by its name with _ for /."""
    content = {
        "spikes_times": ([0.1, 0.25], [], [1.0]),
        "spikes_units": ([5, 699], [], [0]),
        "labels": [1, 0, 1],
        "extra_speaker": [3, 3, 4],
        "extra_keys": [b"no", b"yes"],
    } | changes
    with h5py.File(path, "w", libver=libver) as file:
        for name, value in content.items():
            place = name.replace("_", "/")
            if name in without:
                continue
            if callable(value):
                value(file, place)
            elif name.startswith("spikes") and isinstance(value, tuple):
                dtype = np.float16 if name.endswith("times") else np.int64
                file.create_dataset(place, data=lists(value, dtype), dtype=h5py.vlen_dtype(dtype))
            else:
                file[place] = value
    return path


def variant(name, **changes):
    MAKERS[name] = lambda path: good(path, **changes)


def link(kind, *target):
    def put(file, place):
        file[place] = kind(*(text.format(other=file.filename + ".other") for text in target))

    return put


def created(*shape_and_type, **how):
    return lambda file, place: file.create_dataset(place, *shape_and_type, **how)


# What is no HDF5 file


@maker
def nothing(path):
    path.write_bytes(b"")


@maker
def text(path):
    path.write_text("spikes at 0.1 s\n" * 1000)


@maker
def a_signature_alone(path):
    path.write_bytes(b"\x89HDF\r\n\x1a\n")


@maker
def noise(path):
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + np.random.default_rng(0).bytes(5000))


@maker
def a_pipe(path):
    os.mkfifo(path)


# What is cut at a structure, or damaged there


def structures(content):
    """Where the parts of a file begin."""
    found = {}
    for mark in (b"TREE", b"HEAP", b"SNOD", b"GCOL"):
        place = content.find(mark)
        while place >= 0:
            found[f"{mark.decode().lower()}_{place}"] = place
            place = content.find(mark, place + 1)
    return found


def cut(path, place, admit):
    content = bytearray(good(path).read_bytes()[:place])
    if admit and len(content) >= 48:
        content[40:48] = struct.pack("<Q", len(content))  # the superblock's word for where the file ends
    path.write_bytes(content)


def overwrite(path, place, what):
    content = bytearray(good(path).read_bytes())
    content[place : place + len(what)] = what
    path.write_bytes(content)


def make_damages(folder):
    places = structures(good(folder / "good.h5").read_bytes())
    for name, place in places.items():
        MAKERS[f"cut_at_{name}"] = lambda path, place=place: cut(path, place, admit=False)
        MAKERS[f"cut_and_said_so_at_{name}"] = lambda path, place=place: cut(path, place, admit=True)
    for name, place in places.items():
        if not name.startswith("snod_") or place < 1200:
            MAKERS[f"no_{name}"] = lambda path, place=place: overwrite(path, place, b"XXXX")
    for byte in (4, 20, 47):
        MAKERS[f"cut_in_the_superblock_{byte}"] = lambda path, byte=byte: cut(path, byte, admit=False)
    size = (folder / "good.h5").stat().st_size
    MAKERS["cut_by_a_byte"] = lambda path: cut(path, size - 1, admit=False)


@maker
def a_superblock_of_another_version(path):
    overwrite(path, 8, b"\xff")


@maker
def a_root_that_is_nowhere(path):
    overwrite(path, 64, b"\xff" * 6)


@maker
def addresses_of_three_bytes(path):
    overwrite(path, 13, b"\x03")


# What lies elsewhere

variant("soft_link", labels=link(h5py.SoftLink, "/extra/speaker"))
variant("soft_link_to_nothing", labels=link(h5py.SoftLink, "/nothing"))
variant("soft_link_to_itself", labels=link(h5py.SoftLink, "/labels"))
variant("external_link", labels=link(h5py.ExternalLink, "{other}", "labels"))
variant("external_link_to_a_device", labels=link(h5py.ExternalLink, "/dev/zero", "labels"))
variant(
    "group_elsewhere",
    without=("spikes_times", "spikes_units"),
    spikes=link(h5py.ExternalLink, "{other}", "spikes"),
)
variant(
    "group_by_a_soft_link",
    without=("spikes_times", "spikes_units"),
    spikes=link(h5py.SoftLink, "/extra"),
)
variant("external_storage", labels=created((3,), "u1", external=[("/etc/passwd", 0, 3)]))
variant("external_storage_of_lists", spikes_times=created((3,), "f2", external=[("/etc/passwd", 0, 6)]))


@maker
def group_that_holds_itself(path):
    good(path, without=("spikes_times", "spikes_units"))
    with h5py.File(path, "a") as file:
        file["spikes"] = file["/"]


def virtual(source):
    def put(file, place):
        layout = h5py.VirtualLayout((3,), int)
        layout[:] = h5py.VirtualSource(source.format(other=file.filename + ".other"), "labels", (3,))
        file.create_virtual_dataset(place, layout)

    return put


variant("virtual_data", labels=virtual("{other}"))
variant("virtual_data_of_its_own", labels=virtual("."))
variant("virtual_speakers", extra_speaker=virtual("{other}"))

# What wants more than it should

variant("promise", labels=created((10**12,), "u1", chunks=(1024,)))
variant("promise_of_lists", spikes_times=created((10**9,), h5py.vlen_dtype("f2"), chunks=(1024,)))
variant("never_written", labels=created((10**6,), "u1"))
variant("never_written_lists", spikes_times=created((3,), h5py.vlen_dtype("f2"), chunks=(3,)))
variant(
    "chunk_bomb",
    labels=created((3,), "i8", data=[1, 0, 1], chunks=(2**23 + 1,), maxshape=(None,), compression=1),
)
variant("long_texts", extra_keys=created((2,), "S1000000"))
variant("many_names", extra_keys=created((10**6,), "S1", compression=9))
variant("a_name_without_end", extra_keys=created((2,), h5py.string_dtype(), data=["x" * 10**6, "yes"]))
variant("another_filter", labels=created(data=[1, 0, 1], scaleoffset=0))


@maker
def a_plugin(path):
    def put(file, place):
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((3,))
        how.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (1,))
        space = h5py.h5s.create_simple((3,))
        made = h5py.h5d.create(file.id, place.encode(), h5py.h5t.NATIVE_INT64, space, how)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1, 0, 1]))

    good(path, labels=put)


def zeros(megabytes):
    """What gzip unpacks to so many megabytes: one packed again and again."""
    packer = zlib.compressobj(9)
    head, piece = (
        packer.flush(zlib.Z_FULL_FLUSH),
        packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH),
    )
    return head + piece * megabytes


@maker
def a_chunk_that_unpacks_to_gigabytes(path):
    bomb = zeros(3000)

    def put(file, place):
        made = file.create_dataset(place, (3,), "i8", chunks=(3,), compression=9)
        made.id.write_direct_chunk((0,), bomb)

    good(path, labels=put)


@maker
def one_list_ten_thousand_times(path):
    """Many samples whose lists are one and the same."""
    count, spikes = 10_000, 2**16
    with h5py.File(path, "w") as file:
        for name, dtype in (("times", "f2"), ("units", "u2")):
            made = file.create_dataset(f"spikes/{name}", (count,), h5py.vlen_dtype(dtype))
            made[0] = np.zeros(spikes, dtype)
        file["labels"] = np.zeros(count, np.uint8)
        places = [file[f"spikes/{name}"].id.get_offset() for name in ("times", "units")]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place : place + 16 * count] = content[place : place + 16] * count
    path.write_bytes(content)


def reference(changed, place_in_reference):
    """Overwrite a part of the first list's reference: its length, its heap's address, its number there."""

    def make(path):
        good(path)
        with h5py.File(path) as file:
            place = file["spikes/times"].id.get_offset()
        content = bytearray(path.read_bytes())
        place += place_in_reference
        content[place : place + len(changed)] = changed
        path.write_bytes(content)

    return make


MAKERS["a_list_of_four_billion"] = reference(b"\xff\xff\xff\xff", 0)
MAKERS["a_list_of_a_gigabyte"] = reference(struct.pack("<I", 2**29), 0)
MAKERS["a_list_beyond_the_file"] = reference(struct.pack("<Q", 2**40), 4)
MAKERS["a_list_in_the_superblock"] = reference(struct.pack("<Q", 0), 4)
MAKERS["a_list_with_a_wrong_number"] = reference(b"\xff\xff\x00\x00", 12)

# What is of the wrong kind

PAIR = np.dtype([("a", "i4"), ("b", "f4")])
variant("labels_of_floats", labels=[0.0, 1.0, 1.0])
variant("labels_of_complex_numbers", labels=[0j, 1j, 1j])
variant("labels_of_records", labels=np.zeros(3, PAIR))
variant("labels_of_records_without_end", labels=np.zeros(3, [(f"field{i}\x1b", "i4") for i in range(500)]))
variant("labels_of_booleans", labels=[True, False, True])
variant("labels_of_texts", labels=[b"0", b"1", b"1"])
variant("labels_of_opaque_bytes", labels=np.zeros(3, "V8"))
variant("labels_of_arrays", labels=created((3,), np.dtype(("i8", (100_000,)))))
variant("labels_of_references", labels=created((3,), h5py.ref_dtype))
variant("labels_of_lists", labels=created((3,), h5py.vlen_dtype("i8")))
variant("labels_in_a_table", labels=[[0], [1], [1]])
variant("labels_of_one_number", labels=1)
variant("labels_of_nothing", labels=h5py.Empty("i8"))
variant("labels_in_a_group", labels=lambda file, place: file.create_group(place))
variant("labels_as_a_type", labels=np.dtype("i8"))
variant("speakers_of_floats", extra_speaker=[0.5, 1.0, 1.0])
variant("names_of_numbers", extra_keys=[1, 2])
variant("names_of_references", extra_keys=created((2,), h5py.ref_dtype))
variant("names_of_lists", extra_keys=created((2,), h5py.vlen_dtype("u1")))
variant(
    "times_of_integers",
    spikes_times=created(data=lists([[0, 1], [], [1]], "i4"), dtype=h5py.vlen_dtype("i4")),
)
variant("times_of_records", spikes_times=created((3,), h5py.vlen_dtype(PAIR)))
variant("times_of_texts", spikes_times=created((3,), h5py.string_dtype(), data=["a", "b", "c"]))
variant("times_in_a_table", spikes_times=np.zeros((3, 2), "f2"))
variant(
    "units_of_floats", spikes_units=created(data=lists([[0, 1], [], [1]], "f4"), dtype=h5py.vlen_dtype("f4"))
)
variant("a_set_in_place_of_a_group", without=("spikes_times", "spikes_units"), spikes=[1, 2, 3])

# What does not fit, or cannot be

UNITS = ([5, 699], [], [0])
variant("no_times", without=("spikes_times",))
variant("no_labels", without=("labels",))
variant("nothing_inside", without=("spikes_times", "spikes_units", "labels", "extra_speaker", "extra_keys"))
variant("no_samples", labels=np.zeros(0, int))
variant("fewer_labels", labels=[1, 0])
variant("fewer_speakers", extra_speaker=[1, 0])
variant("fewer_units", spikes_units=UNITS[:2])
variant("units_shorter_than_times", spikes_units=([5], [], [0]))
variant("negative_label", labels=[0, -2, 0])
variant("label_without_a_name", labels=[0, 1, 2])
variant("label_without_end", without=("extra_keys",), labels=[0, 1, 10**15])
variant("label_of_64_bits", labels=np.array([0, 1, 2**64 - 1], np.uint64))
variant("unit_beyond_the_last", spikes_units=([5, 700], [], [0]))
variant("huge_unit", spikes_units=([5, 2**40], [], [0]))
variant("unit_that_wraps", spikes_units=([5, 2**16 + 5], [], [0]))
variant("negative_unit", spikes_units=([5, -1], [], [0]))
variant("time_that_is_no_number", spikes_times=([0.1, np.nan], [], [1.0]))
variant("infinite_time", spikes_times=([0.1, np.inf], [], [1.0]))
variant("time_before_all_times", spikes_times=([0.1, -np.inf], [], [1.0]))
variant("negative_time", spikes_times=([0.1, -0.1], [], [1.0]))
variant("time_in_milliseconds", spikes_times=([100, 250], [], [1000]))
variant("a_name_with_a_zero", extra_keys=np.array([b"a\0b", b"yes"]))
variant("a_name_that_steers_the_terminal", extra_keys=[b"\x1b[2J", b"yes"])
variant("names_that_are_alike", extra_keys=[b"yes", b"yes"])
variant("names_of_megabytes", extra_keys=np.char.zfill(np.arange(6000).astype("S200"), 200))
variant("an_empty_name", extra_keys=[b"", b"yes"])
