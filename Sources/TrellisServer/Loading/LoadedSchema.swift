// SPDX-License-Identifier: MIT

internal import CTrellisPlugin
internal import TrellisCore

/// What is wrong with the options that a plugin describes.
struct SchemaFault: Error {
    var reason: String
}

/// The options of a loaded plugin, from C.
enum LoadedSchema {
    static func options(_ first: UnsafePointer<trellis_option>?, count: Int) throws(SchemaFault) -> [Option] {
        guard count > 0 else { return [] }
        guard let first else { throw SchemaFault(reason: "there are \(count), and `options` is NULL") }
        let size = first.pointee.size
        let least = MemoryLayout<trellis_option>.size
        guard size >= least else {
            throw SchemaFault(
                reason:
                    "one has \(size) bytes, and this version needs \(least); set size to sizeof(struct trellis_option)")
        }
        var options: [Option] = []
        for index in 0..<count {
            // A plugin of a later header has larger ones.
            let pointer = UnsafeRawPointer(first).advanced(by: index * size).assumingMemoryBound(
                to: trellis_option.self)
            guard pointer.pointee.size == size else {
                throw SchemaFault(reason: "number \(index + 1) has another size than the first")
            }
            guard let key = text(pointer.pointee.key), isKey(key), key != "use" else {
                throw SchemaFault(
                    reason:
                        "the key of number \(index + 1) isn't one: lower-case letters, digits and hyphens, not \"use\"")
            }
            guard !options.contains(where: { $0.key == key }) else { throw SchemaFault(reason: "\(key) comes twice") }
            options.append(try option(pointer.pointee, key: key))
        }
        return options
    }

    private static func option(_ option: trellis_option, key: String) throws(SchemaFault) -> Option {
        guard let documentation = text(option.documentation), !documentation.isEmpty else {
            throw SchemaFault(reason: "\(key) has no documentation")
        }
        let type = try type(of: option, key: key)
        switch option.default_kind {
        case TRELLIS_REQUIRED.rawValue: return Option(key, type, required: documentation)
        case TRELLIS_NO_DEFAULT.rawValue: return Option(key, type, default: nil, documentation)
        default: break
        }
        guard let value = defaultValue(option, type) else {
            throw SchemaFault(reason: "the default of \(key) is no value of its type, or out of its range")
        }
        return Option(key, type, default: value, documentation)
    }

    private static func type(of option: trellis_option, key: String) throws(SchemaFault) -> OptionType {
        let type = trellis_option_type(rawValue: option.type)
        var words: [String] = []
        if var next = option.choices,
            [TRELLIS_CHOICE, TRELLIS_CHOICE_OR_DURATION, TRELLIS_CHOICE_OR_INTEGER].contains(type)
        {
            while let word = text(next.pointee) {
                words.append(word)
                next += 1
            }
        }
        let (minimum, maximum) = (option.minimum, option.maximum)
        func range() throws(SchemaFault) -> ClosedRange<Int64> {
            guard minimum < maximum else {
                throw SchemaFault(reason: "the range of \(key) is empty: \(minimum) to \(maximum)")
            }
            return minimum...maximum
        }
        func choices() throws(SchemaFault) -> [String] {
            guard !words.isEmpty else { throw SchemaFault(reason: "\(key) is a choice without choices") }
            return words
        }
        switch type {
        case TRELLIS_TEXT: return .text
        case TRELLIS_PATH: return .path
        case TRELLIS_INTEGER: return .integer(try range())
        case TRELLIS_SIZE:
            guard minimum >= 0 else { throw SchemaFault(reason: "the least size of \(key) is negative") }
            let range = try range()
            return .size(UInt64(range.lowerBound)...UInt64(range.upperBound))
        case TRELLIS_DURATION: return .duration(try range())
        case TRELLIS_BOOLEAN: return .boolean
        case TRELLIS_CHOICE: return .choice(try choices())
        case TRELLIS_CHOICE_OR_DURATION: return .choiceOrDuration(try choices(), try range())
        case TRELLIS_CHOICE_OR_INTEGER: return .choiceOrInteger(try choices(), try range())
        case TRELLIS_FILE_MODE: return .fileMode
        default: throw SchemaFault(reason: "\(key) has the unknown type \(option.type)")
        }
    }

    /// The default as a value; nil where it doesn't fit the type.
    private static func defaultValue(_ option: trellis_option, _ type: OptionType) -> OptionValue? {
        let word = option.default_kind == TRELLIS_DEFAULT_TEXT.rawValue ? text(option.default_text) : nil
        let isNumber = option.default_kind == TRELLIS_DEFAULT_NUMBER.rawValue
        let number = option.default_number
        switch type {
        case .text, .path: return word.map { .text($0) }
        case .choice(let words): return word.flatMap { words.contains($0) ? .text($0) : nil }
        case .choiceOrDuration(let words, let range):
            if let word { return words.contains(word) ? .text(word) : nil }
            return isNumber && range.contains(number) ? .duration(number) : nil
        case .choiceOrInteger(let words, let range):
            if let word { return words.contains(word) ? .text(word) : nil }
            return isNumber && range.contains(number) ? .integer(number) : nil
        case .integer(let range): return isNumber && range.contains(number) ? .integer(number) : nil
        case .size(let range):
            guard isNumber, let size = UInt64(exactly: number), range.contains(size) else { return nil }
            return .size(size)
        case .duration(let range): return isNumber && range.contains(number) ? .duration(number) : nil
        case .boolean: return isNumber && (0...1).contains(number) ? .boolean(number == 1) : nil
        case .fileMode: return isNumber && (0...0o7777).contains(number) ? .fileMode(UInt32(number)) : nil
        // A type that the header doesn't know.
        case .rate: return nil
        }
    }
}
