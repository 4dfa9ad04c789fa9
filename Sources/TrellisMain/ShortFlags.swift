// SPDX-License-Identifier: MIT

/// Takes arguments apart as beanstalkd does: `-VVp11300` is `-V -V -p 11300`.
///
/// A value is the rest of its argument or, where nothing follows the flag, the next argument, whatever it begins with.
/// Long options, what is no flag, and flags that don't exist are left as they are.
func separateShortFlags(_ arguments: [String]) -> [String] {
    let withValue: Set<Character> = ["l", "p", "z", "u", "b", "f", "s"]
    let withoutValue: Set<Character> = ["V", "v", "F", "h", "c", "n"]
    var result: [String] = []
    var rest = arguments[...]
    while let argument = rest.popFirst() {
        if argument == "--" { return result + [argument] + rest }
        guard argument.hasPrefix("-"), !argument.hasPrefix("--") else {
            result.append(argument)
            if argument == "--config", let value = rest.popFirst() { result.append(value) }
            continue
        }
        var letters = argument.dropFirst()
        if letters.isEmpty { result.append(argument) }
        while let letter = letters.popFirst() {
            if withValue.contains(letter) {
                result.append("-\(letter)")
                if !letters.isEmpty {
                    result.append(String(letters))
                } else if let value = rest.popFirst() {
                    result.append(value)
                }
                break
            }
            guard withoutValue.contains(letter) else {
                result.append("-\(letter)\(letters)")
                break
            }
            result.append("-\(letter)")
        }
    }
    return result
}
