// SPDX-License-Identifier: MIT

package import TrellisCore

extension Configuration {
    /// What a fuzzer calls: loads any bytes as a file, and what was accepted once more from its effective page.
    ///
    /// Traps where the second reading fails or comes to other values; every other outcome is fine. Answers whether the
    /// bytes were accepted.
    @discardableResult
    package static func exercise(_ bytes: UnsafeRawBufferPointer, plugins: [AnyPlugin]) -> Bool {
        guard let first = try? load(ConfigurationSource(file: .init(bytes: Array(bytes))), plugins: plugins) else {
            return false
        }
        let page = first.effectivePage
        do throws(ConfigurationErrors) {
            let second = try load(ConfigurationSource(file: .init(name: "effective", text: page)), plugins: plugins)
            precondition(first.values == second.values, "the effective page reads back to other values:\n\(page)")
        } catch {
            preconditionFailure("the effective page is refused: \(error)\n\(page)")
        }
        return true
    }

    /// All names and values, to compare.
    package var values: [String: [String: OptionValue]] {
        var result = sections.mapValues(\.options.values)
        result["storage \(storage.plugin.descriptor.name)"] = storage.settings.options.values
        result["scheduler \(scheduler.plugin.descriptor.name)"] = scheduler.settings.options.values
        for (index, transport) in transports.enumerated() {
            result["\(index) \(transport.plugin.descriptor.name)"] = transport.settings.options.values
        }
        for (index, tube) in tubes.enumerated() {
            result["tube \(index) \(tube.pattern)"] = tube.settings.options.values
        }
        return result
    }
}
