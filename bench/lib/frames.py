"""Just enough of the binary frames (docs/internals.md, section 4) to read an answer's snapshot and its number of keys."""
import struct


def snapshot(first_frame):
    """Of the 'h' record that begins every answer."""
    data = bytes(first_frame)
    if data[:1] != b"h":
        raise ValueError(f"an answer begins with {data[:1]!r}, not with 'h'")
    (length,) = struct.unpack_from("<I", data, 9)
    return data[13:13 + length].decode()


def records(last_frame):
    """Of the 'e' record that ends every complete answer."""
    data = bytes(last_frame)
    if data[-9:-8] != b"e":
        raise ValueError("the answer was cut off: it does not end with 'e'")
    return struct.unpack("<Q", data[-8:])[0]
