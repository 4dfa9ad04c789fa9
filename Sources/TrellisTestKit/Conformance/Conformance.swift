// SPDX-License-Identifier: MIT

/// One rule of a contract that wasn't kept.
public struct ConformanceFailure: Hashable, Sendable, CustomStringConvertible {
    /// The rule, as the kit names it.
    public var rule: String
    /// What was seen instead.
    public var detail: String

    /// Puts the two together.
    public init(rule: String, detail: String) {
        self.rule = rule
        self.detail = detail
    }

    /// One line: the rule and what was seen.
    public var description: String { "\(rule): \(detail)" }
}

/// All that a conformance kit found, thrown at the end of its run.
public struct ConformanceError: Error, Sendable, CustomStringConvertible {
    /// The failures, at least one, in the order of the rules.
    public var failures: [ConformanceFailure]

    /// Wraps failures.
    public init(failures: [ConformanceFailure]) { self.failures = failures }

    /// A line for each failure.
    public var description: String { failures.map { "- \($0)" }.joined(separator: "\n") }
}

/// How a run of a kit goes on, for somebody who watches.
public enum ConformanceProgress: Hashable, Sendable {
    /// The rule is looked at from now on.
    case begins(rule: String)
    /// The rule is done with; without failures it is kept.
    case ends(rule: String, [ConformanceFailure])
}

/// Collects the failures of a run, rule by rule.
struct Findings {
    private(set) var failures: [ConformanceFailure] = []
    private var rule = ""
    private let endsAtTheFirst: Bool
    private let watch: (ConformanceProgress) -> Void
    /// Of one rule so many are told; more only hide the others.
    private static let mostPerRule = 3

    /// - Parameters:
    ///   - endsAtTheFirst: Whether rules behind a broken one aren't looked at.
    ///   - watch: Told of each rule.
    init(endsAtTheFirst: Bool = false, watch: @escaping (ConformanceProgress) -> Void = { _ in }) {
        self.endsAtTheFirst = endsAtTheFirst
        self.watch = watch
    }

    /// Begins a rule and runs its checks.
    mutating func rule(_ name: String, _ check: (inout Findings) -> Void) {
        if endsAtTheFirst && !failures.isEmpty { return }
        rule = name
        watch(.begins(rule: name))
        check(&self)
        watch(.ends(rule: name, failures.filter { $0.rule == name }))
    }

    /// Begins a rule and runs its checks; an error thrown by them is a failure of the rule.
    mutating func rule<Failure: Error>(_ name: String, throwing check: (inout Findings) throws(Failure) -> Void) {
        rule(name) { findings in
            do throws(Failure) {
                try check(&findings)
            } catch {
                findings.fail("an error ended the check: \(error)")
            }
        }
    }

    mutating func fail(_ detail: String) {
        guard failures.count(where: { $0.rule == rule }) < Self.mostPerRule else { return }
        failures.append(ConformanceFailure(rule: rule, detail: detail))
    }

    mutating func expect(_ isKept: Bool, _ detail: @autoclosure () -> String) {
        if !isKept { fail(detail()) }
    }

    /// Throws what was found, if anything was.
    func finish() throws(ConformanceError) {
        if !failures.isEmpty { throw ConformanceError(failures: failures) }
    }
}
