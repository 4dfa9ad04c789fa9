// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisMain

/// Arguments are taken apart as beanstalkd does.
@Suite struct ShortFlagsTests {
    @Test(arguments: [
        ("-VV", "-V -V"), ("-p11300", "-p 11300"), ("-l127.0.0.1", "-l 127.0.0.1"), ("-VVp11300", "-V -V -p 11300"),
        ("-p 1 -l 2", "-p 1 -l 2"), ("-Vp 1", "-V -p 1"), ("-p -1", "-p -1"), ("-l -V", "-l -V"), ("-pV", "-p V"),
        ("--config -x -V", "--config -x -V"), ("--config=-VV", "--config=-VV"), ("-f0", "-f 0"), ("-", "-"),
        ("-Vx9", "-V -x9"), ("check -VV", "check -V -V"), ("-- -VV", "-- -VV"), ("-p", "-p"), ("-Fcn", "-F -c -n"),
        ("-lunix:/tmp/s", "-l unix:/tmp/s"), ("-h", "-h"), ("-Vv", "-V -v"),
    ])
    func separates(arguments: String, result: String) {
        let separated = separateShortFlags(arguments.split(separator: " ").map(String.init))
        #expect(separated == result.split(separator: " ").map(String.init))
    }

    @Test func emptyArgumentsStay() { #expect(separateShortFlags(["", "-p", ""]) == ["", "-p", ""]) }
}
