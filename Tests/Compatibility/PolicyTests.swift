// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// Policies of tubes as clients see them.
@Suite(.serialized)
struct PolicyTests {
    @Test(
        .server(sections: [#"tubes: {"full": {max-jobs: 1}, "small": {max-job-size: 3}}"#]), .oursDiffers,
        arguments: Route.allCases)
    func refusedPutsAreSwallowed(over route: Route) throws {
        let client = try connect(route)
        try client.call("use full", "USING full")
        try client.call("put 0 0 60 1\r\na", "INSERTED 1")
        try client.call("put 0 0 60 13\r\ndelete 1\r\nxyz", "OUT_OF_MEMORY")
        try client.call("delete 1", "DELETED")
        try client.call("use small", "USING small")
        try client.call("put 0 0 60 12\r\ndelete 1\r\nxy", "JOB_TOO_BIG")
        try client.call("put 0 0 60 3\r\nabc", "INSERTED 2")
        #expect(try client.statistics("stats-tube small")["puts-refused"] == "1")
        #expect(try client.statistics()["puts-refused"] == "2")
    }
}
