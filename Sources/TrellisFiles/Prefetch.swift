// SPDX-License-Identifier: MIT

internal import CLinux

/// Has the processor fetch up to 1 KiB from there on while something else is done.
///
/// Only for speed: bytes that another processor wrote take about 100 ns to come.
public func prefetch(_ address: UnsafeRawPointer, _ count: Int) {
    clinux_prefetch(address, count)
}
