// SPDX-License-Identifier: MIT

internal import CTrellisPlugin
internal import TrellisCore

/// What a shared object says of one plugin, checked.
struct LoadedPlugin {
    let plugin: AnyPlugin

    init(_ pointer: UnsafePointer<trellis_plugin>, path: String) throws(PluginLoadError) {
        func fail(_ reason: String) -> PluginLoadError { PluginLoadError(path: path, reason: reason) }
        // These two are where they are in every version; all else only in this one.
        let (size, version) = (pointer.pointee.size, pointer.pointee.abi_version)
        guard version == UInt32(TRELLIS_ABI_VERSION) else {
            throw fail(
                "has version \(version) of the plugin interface, and this server has version \(TRELLIS_ABI_VERSION); "
                    + "build it with the trellis_plugin.h of this server")
        }
        // What the first version of the header had; schedulers came later.
        let least = MemoryLayout<trellis_plugin>.offset(of: \.scheduler) ?? MemoryLayout<trellis_plugin>.size
        guard size >= least else {
            throw fail(
                "describes a plugin in \(size) bytes, and version \(version) of the interface needs "
                    + "\(least); set size to sizeof(struct trellis_plugin)")
        }
        let table = copied(pointer, size: size, onto: trellis_plugin())
        guard let kind = text(table.kind), let name = text(table.name), let pluginVersion = text(table.version),
            let summary = text(table.summary)
        else { throw fail("has a plugin without kind, name, version or summary") }
        guard isKey(name) else {
            throw fail("has a plugin named \"\(name)\"; names are lower-case letters, digits and hyphens")
        }
        guard let kind = PluginKind(rawValue: kind), kind != .transport else {
            throw fail(
                "has the plugin \(kind).\(name); only plugins of the kinds \"storage\" and \"scheduler\" can be loaded")
        }
        let id = "\(kind.rawValue).\(name)"
        let options: [Option]
        do throws(SchemaFault) {
            options = try LoadedSchema.options(table.options, count: Int(table.option_count))
        } catch {
            throw fail("has a plugin \(id) that describes its options badly: \(error.reason)")
        }
        let descriptor = PluginDescriptor(
            kind: kind, name: name, version: pluginVersion, summary: summary, options: options, file: path)
        var missing: [String]
        var tableSize = 0
        if kind == .storage {
            guard let storage = table.storage else {
                throw fail("has a plugin \(id) without functions: `storage` is NULL")
            }
            tableSize = storage.pointee.size
            let functions = copied(storage, size: tableSize, onto: trellis_storage())
            missing = Self.missing(functions)
            plugin = .storage(
                Plugin(
                    descriptor,
                    validate: { LoadedOptions($0, schema: options).faults(functions.validate) },
                    make: { LoadedStorage(functions, descriptor: descriptor, options: $0) }))
        } else {
            guard let scheduler = table.scheduler else {
                throw fail("has a plugin \(id) without functions: `scheduler` is NULL")
            }
            tableSize = scheduler.pointee.size
            let functions = copied(scheduler, size: tableSize, onto: trellis_scheduler())
            missing = LoadedScheduler.missing(functions)
            plugin = .scheduler(
                Plugin(
                    descriptor,
                    validate: { LoadedOptions($0, schema: options).faults(functions.validate) },
                    make: { LoadedScheduler(functions, descriptor: descriptor, options: $0) }))
        }
        guard missing.isEmpty else {
            let noun = missing.count == 1 ? "function" : "functions"
            throw fail(
                "has a plugin \(id) without the \(noun) \(missing.joined(separator: " and ")), which this server needs "
                    + "(struct trellis_\(kind.rawValue) of version \(TRELLIS_ABI_VERSION); size is \(tableSize))")
        }
    }

    /// The names of functions that must be there and aren't.
    private static func missing(_ functions: trellis_storage) -> [String] {
        var names: [String] = []
        if functions.open == nil { names.append("open") }
        if functions.recover == nil { names.append("recover") }
        if functions.admit == nil { names.append("admit") }
        if functions.append == nil { names.append("append") }
        if functions.commit == nil { names.append("commit") }
        if functions.close == nil { names.append("close") }
        return names
    }
}

/// As much of a struct as its maker filled in; what came to the interface later is as in `blank`.
func copied<Value: BitwiseCopyable>(_ pointer: UnsafePointer<Value>, size: Int, onto blank: Value) -> Value {
    var result = blank
    withUnsafeMutableBytes(of: &result) { bytes in
        bytes.copyMemory(
            from: UnsafeRawBufferPointer(start: pointer, count: max(0, min(size, MemoryLayout<Value>.size))))
    }
    return result
}

/// A C string; nil for NULL.
func text(_ pointer: UnsafePointer<CChar>?) -> String? { pointer.map { String(cString: $0) } }

/// Whether a word may stand in a configuration as a name or a key.
func isKey(_ word: String) -> Bool {
    word.first?.isLetter == true
        && word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
            default: false
            }
        }
}
