// SPDX-License-Identifier: MIT

/// The word among the candidates that was probably meant, or nil where none is near.
///
/// Near is a third of the length in edits, and at least two, yet never a whole word. Complexity: the length of the word times that of
/// all candidates; words of more than 64 bytes are given up on, so that a broken file costs no time.
package func nearest(to word: String, among candidates: [String]) -> String? {
    let bytes = Array(word.lowercased().utf8)
    guard bytes.count <= 64 else { return nil }
    var best: (candidate: String, distance: Int)?
    for candidate in candidates {
        let distance = editDistance(bytes, Array(candidate.lowercased().utf8))
        let bound = max(2, max(bytes.count, candidate.utf8.count) / 3)
        guard distance <= bound, distance < min(bytes.count, candidate.utf8.count), distance < best?.distance ?? .max
        else { continue }
        best = (candidate, distance)
    }
    return best?.candidate
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from one word to the other.
func editDistance(_ from: [UInt8], _ to: [UInt8]) -> Int {
    var beforePrevious = [Int](repeating: 0, count: to.count + 1)
    var previous = Array(0...to.count)
    for row in from.indices {
        var current = [row + 1]
        for column in to.indices {
            var cost = previous[column] + (from[row] == to[column] ? 0 : 1)
            cost = min(cost, previous[column + 1] + 1, current[column] + 1)
            if row > 0, column > 0, from[row] == to[column - 1], from[row - 1] == to[column] {
                cost = min(cost, beforePrevious[column - 1] + 1)
            }
            current.append(cost)
        }
        (beforePrevious, previous) = (previous, current)
    }
    return previous[to.count]
}

/// `; did you mean "sync"?` or nothing.
package func hint(for word: String, among candidates: [String]) -> String {
    nearest(to: word, among: candidates).map { "; did you mean \"\($0)\"?" } ?? ""
}
