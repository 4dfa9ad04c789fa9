// SPDX-License-Identifier: MIT

import Testing
import TrellisConfiguration
import TrellisCore

/// The section `tubes`.
@Suite struct TubeTests {
    @Test func entriesKeepTheirOrderAndTheFirstThatMatchesHolds() throws {
        let configuration = try load(
            """
            tubes:
              "email.vip*": {}
              "email.*": {weight: 3, concurrency: 50}
              "report.?": {rate: 600/m, objective: 90s, max-jobs: 1000, max-job-size: 4KiB}
              "*":
            """)
        #expect(configuration.tubes.map(\.pattern) == ["email.vip*", "email.*", "report.?", "*"])
        #expect(
            configuration.tubeRules.rules.map(\.settings) == [
                TubeSettings(), TubeSettings(weight: 3, concurrency: 50),
                TubeSettings(
                    rate: Rate(600, per: .minute), objectiveNanoseconds: 90_000_000_000, maxJobs: 1000,
                    maxJobBytes: 4096), TubeSettings(),
            ])
        func pattern(_ name: String) -> String? { configuration.tube(named: name)?.pattern }
        #expect(pattern("email.vip.1") == "email.vip*")
        #expect(pattern("email.x") == "email.*")
        #expect(pattern("report.12") == "*")
        #expect(try load(nil).tube(named: "x") == nil)
        #expect(try load("tubes:\n").tubeRules == TubeRules())
    }

    @Test func eachMistakeHasItsTextAndPlace() {
        let text = """
            tubes:
              "a*": {wieght: 3}
              "b": {weight: 0, rate: 10, concurrency: many}
              "c": 5
              "d": {rate: 2000000/s, objective: 10}
              "e": {rate: [1]}
            """
        #expect(
            errors(text) == [
                "trellis.yaml:2:10: unknown key \"wieght\" in tubes.\"a*\"; did you mean \"weight\"? "
                    + "(allowed: weight, concurrency, rate, objective, retries, dead-letter, ttl, max-jobs, max-job-size)",
                "trellis.yaml:3:17: tubes.\"b\".weight is \"0\"; it must be at least 1 and at most 1000",
                "trellis.yaml:3:26: tubes.\"b\".rate is \"10\"; it must be a rate such as 10/s, 600/m, 5/h or 100/d",
                "trellis.yaml:3:43: tubes.\"b\".concurrency is \"many\"; it must be a whole number",
                "trellis.yaml:4:8: tubes.\"c\" must be a mapping, such as {concurrency: 50}",
                "trellis.yaml:5:15: tubes.\"d\".rate is \"2000000/s\"; it must be at least 1/d and at most 1000000/s",
                "trellis.yaml:5:37: tubes.\"d\".objective is \"10\"; it must be a span of time such as 50ms, 10s, 5m, 2h "
                    + "or 1d (the unit is missing)",
                "trellis.yaml:6:15: tubes.\"e\".rate is a list; it must be a single value "
                    + "(rate, such as 10/s, 600/m, 5/h or 100/d)",
            ])
        #expect(
            errors("tubes: [a]")
                == ["trellis.yaml:1:8: tubes must be a mapping of patterns, such as {\"email.*\": {concurrency: 50}}"])
    }

    @Test func deadLettersOfABadKindAreRefused() throws {
        let text = """
            tubes:
              "ok*": {ttl: 90m, dead-letter: dead}
              "a*": {retries: 1, dead-letter: "dead*"}
              "b": {dead-letter: dead}
              "c*": {retries: 1, dead-letter: c.dead}
              "d": {retries: 0, dead-letter: e1}
              "e*": {retries: 3, dead-letter: f}
              "f": {retries: 3, dead-letter: e2}
            """
        #expect(
            errors(text) == [
                "trellis.yaml:3:22: tubes.\"a*\".dead-letter is \"dead*\", which no tube can be named; it is the name of one "
                    + "tube, not a pattern",
                "trellis.yaml:4:9: tubes.\"b\".dead-letter is \"dead\", but no job gets there without retries or ttl",
                "trellis.yaml:5:22: tubes.\"c*\".dead-letter is \"c.dead\", for which the same entry holds, so that jobs would "
                    + "never leave it; put an entry for \"c.dead\" before it",
                "trellis.yaml:7:22: tubes.\"e*\".dead-letter is \"f\", and so jobs would go round for ever: f, e2, f",
                "trellis.yaml:8:21: tubes.\"f\".dead-letter is \"e2\", and so jobs would go round for ever: e2, f, e2",
            ])
        let whole = try load("tubes: {a: {retries: 250, ttl: 1500ms, dead-letter: dead}}")
        #expect(
            whole.tubeRules.rules.map(\.settings)
                == [TubeSettings(retries: 250, ttlNanoseconds: 1_500_000_000, deadLetter: "dead")])
        let chain = try load(
            "tubes:\n  c.dead: {}\n  \"c*\": {retries: 1, dead-letter: c.dead}\n  d: {retries: 1, dead-letter: c1}\n")
        #expect(chain.tubeRules.rules[2].settings == TubeSettings(retries: 1, deadLetter: "c1"))
    }

    @Test(arguments: ["0/s", "/s", "1/", "1/x", "1/s/s", "-1/s", "1 /s", "4294967296/d", "1.5/s", "s"])
    func whatIsNoRateIsRefused(_ text: String) { #expect(errors("tubes: {a: {rate: \"\(text)\"}}").count == 1) }

    @Test func patternsThatNoNameMatchesAreRefused() {
        let fault = "no tube has such a name"
        for pattern in ["a b", "", "é", "a:b", "-a*"] {
            #expect(errors("tubes: {\"\(pattern)\": {}}").first?.contains(fault) == true, "\(pattern)")
        }
        let long = String(repeating: "a", count: 201)
        #expect(
            errors("tubes: {\(long): {}}").first?.hasSuffix("is longer than 200 characters, the most that a name has")
                == true)
        #expect(errors("tubes: {\"*-+/;.$_()?\": {}}") == [])
    }

    @Test func entryThatNeverHoldsIsRefused() {
        #expect(
            errors("tubes:\n  \"a.*\": {}\n  b: {}\n  \"a.b?\": {weight: 2}\n") == [
                "trellis.yaml:4:3: tubes.\"a.b?\" never holds, since \"a.*\" (trellis.yaml:2:3) matches all its tubes and "
                    + "comes first; put it before that"
            ])
        #expect(
            errors("tubes:\n  a: {}\n  a: {}\n")
                == ["trellis.yaml:3:3: duplicate key \"a\" in tubes; line 2 has it already"])
    }

    @Test func pageOfATubeTellsWhatHoldsAndWhy() throws {
        let configuration = try load("tubes:\n  \"a*\": {weight: 3,\n    rate: 5/h}\n")
        #expect(
            configuration.page(ofTube: "ab") == """
                ab: "a*"               # file trellis.yaml:2:3
                  weight: 3            # file trellis.yaml:2:10
                  # concurrency: 1     # not set
                  rate: 5/h            # file trellis.yaml:3:5
                  # objective: 0       # not set
                  # retries: 0         # not set
                  # dead-letter: TEXT  # not set
                  # ttl: 1s            # not set
                  # max-jobs: 1        # not set
                  # max-job-size: 0    # not set

                """)
        #expect(configuration.page(ofTube: "b") == "b: no pattern matches; no limits, and the weight is 1\n")
    }

    @Test func effectivePageReadsBack() throws {
        let configuration = try load("tubes: {\"*.(a)?\": {rate: 5/h, objective: 1500ms}, \"z\": {}}")
        let again = try load(configuration.effectivePage)
        #expect(again.tubeRules == configuration.tubeRules)
        #expect(again.values == configuration.values)
        #expect(configuration.effectivePage.contains("tubes:\n  \"*.(a)?\":\n    weight: 1 "))
    }

    /// What is commented out as an example works once the marks are taken away.
    @Test func exampleOfTheDefaultsPageLoads() throws {
        let page = Configuration.defaultsPage(plugins: Samples.plugins)
        let start = try #require(page.firstRange(of: "# tubes:\n"))
        let lines = page[start.lowerBound...].split(separator: "\n", omittingEmptySubsequences: false)
        let block = lines.prefix { $0.hasPrefix("#") }.map { $0.dropFirst(2) }.joined(separator: "\n")
        #expect(try load(block).tubes.map(\.pattern) == ["email.*"])
    }

    @Test func variablesDoNotReachTubes() {
        #expect(
            errors(nil, environment: ["TRELLIS_TUBES__A": "1"]).first?.hasPrefix("TRELLIS_TUBES__A: unknown variable")
                == true)
    }
}
