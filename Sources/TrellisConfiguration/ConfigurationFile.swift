// SPDX-License-Identifier: MIT

internal import Glibc

extension ConfigurationSource.File {
    /// Reads a file for `Configuration.load`: at most one byte more than a configuration may have, which is told there.
    ///
    /// Messages call the file by the last part of its path. Throws a fault that says why the file can't be read.
    public init(readingFrom path: String) throws(ConfigurationError) {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("can't open", path, name) }
        defer { close(descriptor) }
        let most = ScreenedText.mostBytes + 1
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < most {
            let count = read(descriptor, &chunk, min(chunk.count, most - bytes.count))
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure("can't read", path, name) }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        self.init(name: name, bytes: bytes)
    }

    private static func failure(_ what: String, _ path: String, _ name: String) -> ConfigurationError {
        ConfigurationError(.file(name), "\(what) \(path): \(String(cString: strerror(errno)))")
    }
}
