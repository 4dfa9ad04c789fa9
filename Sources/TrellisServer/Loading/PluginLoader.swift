// SPDX-License-Identifier: MIT

internal import CTrellisPlugin
internal import Glibc
public import TrellisCore

/// Why a shared object gave no plugins: one line that names the file, what it has and what this server wants.
public struct PluginLoadError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file, as it was named.
    public var path: String
    /// What is wrong and what to do, to be read behind the path.
    public var reason: String

    /// `/usr/lib/trellis/libmine.so exports no …`.
    public var description: String { "\(path) \(reason)" }
}

/// Loads plugins from shared objects, by the C interface of `trellis_plugin.h`.
///
/// What was loaded stays for the life of the process: code of it may run until the end. Loading a file again gives the
/// same plugins.
public enum PluginLoader {
    /// Who may have written a file that is loaded.
    public enum Trust: Sendable {
        /// Root, or the user that this process runs as, and nobody else: for files that a configuration names.
        case ownersOnly
        /// Anybody: for files that somebody names on the command line, as they would a program.
        case anybody
    }

    /// The plugins of a shared object, at least one.
    ///
    /// With `ownersOnly` the path must be absolute, and the file and its folder belong to root or to this process's
    /// user and be writable by nobody else.
    public static func load(_ path: String, trust: Trust) throws(PluginLoadError) -> [AnyPlugin] {
        let file = try PluginFile(path, trust: trust)
        guard let handle = dlopen(file.resolvedPath, RTLD_NOW | RTLD_LOCAL) else {
            let reason = dlerror().map { String(cString: $0) } ?? "no reason given"
            throw PluginLoadError(path: path, reason: "can't be loaded as a shared object: \(reason)")
        }
        guard let symbol = dlsym(handle, entryName) else {
            throw PluginLoadError(
                path: path,
                reason: "exports no function \(entryName), by which this server finds plugins (see trellis_plugin.h)")
        }
        let entry = unsafeBitCast(symbol, to: (@convention(c) (UInt32) -> UnsafePointer<trellis_plugin>?).self)
        var plugins: [AnyPlugin] = []
        while plugins.count < mostPlugins, let table = entry(UInt32(plugins.count)) {
            plugins.append(try LoadedPlugin(table, path: path).plugin)
        }
        if plugins.isEmpty {
            throw PluginLoadError(path: path, reason: "has no plugin: \(entryName)(0) answered NULL")
        }
        return plugins
    }

    private static let entryName = "trellis_plugin_at"
    /// So many plugins of one file are looked at; more can only be a function that never answers NULL.
    private static let mostPlugins = 64
}
