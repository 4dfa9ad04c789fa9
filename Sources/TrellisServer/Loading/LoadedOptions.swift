// SPDX-License-Identifier: MIT

internal import CTrellisPlugin
internal import Glibc
internal import TrellisCore

/// Values of options on their way to a loaded plugin.
struct LoadedOptions {
    private let pairs: [(key: String, value: OptionValue)]

    /// The values in the order of the schema.
    init(_ options: Options, schema: [Option]) {
        pairs = schema.compactMap { option in options.values[option.key].map { (option.key, $0) } }
    }

    /// Lends the values to a call of C.
    func withValues<Result>(_ body: (UnsafeBufferPointer<trellis_value>) -> Result) -> Result {
        var texts: [UnsafeMutablePointer<CChar>?] = []
        defer { for text in texts { free(text) } }
        let values = pairs.map { pair in
            let key = strdup(pair.key)
            texts.append(key)
            var value = trellis_value(size: MemoryLayout<trellis_value>.size, key: key, text: nil, number: 0)
            switch pair.value {
            case .text(let text):
                let copy = strdup(text)
                texts.append(copy)
                value.text = UnsafePointer(copy)
            case .integer(let number), .duration(let number): value.number = number
            case .size(let bytes): value.number = Int64(clamping: bytes)
            case .boolean(let isTrue): value.number = isTrue ? 1 : 0
            case .fileMode(let mode): value.number = Int64(mode)
            case .rate: preconditionFailure("a loaded plugin has an option of a type that its header doesn't know")
            }
            return value
        }
        return values.withUnsafeBufferPointer(body)
    }

    /// What a plugin's `validate` says of the values.
    func faults(
        _ validate:
            (
                @convention(c) (
                    UnsafePointer<trellis_value>?, Int, trellis_fault?, UnsafeMutableRawPointer?
                ) -> Void
            )?
    ) -> [OptionFault] {
        guard let validate else { return [] }
        var faults: [OptionFault] = []
        withUnsafeMutablePointer(to: &faults) { collected in
            withValues { values in
                validate(
                    values.baseAddress, values.count,
                    { context, key, message in
                        let fault = OptionFault(key: text(key) ?? "", message: text(message) ?? "can't be used")
                        context?.assumingMemoryBound(to: [OptionFault].self).pointee.append(fault)
                    }, collected)
            }
        }
        return faults
    }
}
