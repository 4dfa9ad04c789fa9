// SPDX-License-Identifier: MIT

internal import Glibc

/// Starts a thread that runs one function to its end; false where the system has no room for it.
///
/// Signals are left to the loop: it blocks them, and so does every thread made behind it.
func startThread(_ run: @escaping @Sendable () -> Void) -> Bool {
    final class Start {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    let start = Unmanaged.passRetained(Start(run))
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().run()
            return nil
        }, start.toOpaque())
    guard result == 0 else {
        start.release()
        return false
    }
    pthread_detach(thread)
    return true
}
