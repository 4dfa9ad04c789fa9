// SPDX-License-Identifier: MIT

import CSQLite
import TrellisCore

/// What stands in the place of a question mark.
enum Value {
    case integer(Int64)
    case blob([UInt8])

    static func integer(_ number: some BinaryInteger) -> Value { .integer(Int64(truncatingIfNeeded: number)) }
}

/// A connection to SQLite, with the calls that the store needs.
final class Database {
    private let path: String
    private var connection: OpaquePointer?
    private var statements: [String: OpaquePointer] = [:]

    init(_ path: String, isReadOnly: Bool) throws(StorageError) {
        self.path = path
        let flags = isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        try check(sqlite3_open_v2(path, &connection, flags | SQLITE_OPEN_NOMUTEX, nil))
    }

    /// May be called twice.
    func close() {
        for statement in statements.values { sqlite3_finalize(statement) }
        statements = [:]
        sqlite3_close(connection)
        connection = nil
    }

    /// Runs statements that give nothing.
    func run(_ sql: String) throws(StorageError) { try check(sqlite3_exec(connection, sql, nil, nil, nil)) }

    /// Runs one statement with values; it is prepared once.
    func run(prepared sql: String, _ values: [Value]) throws(StorageError) {
        let statement = try prepared(sql)
        defer { sqlite3_reset(statement) }
        for (index, value) in values.enumerated() {
            let place = Int32(index + 1)
            switch value {
            case .integer(let number): try check(sqlite3_bind_int64(statement, place, number))
            // A blob at NULL would be NULL.
            case .blob([]): try check(sqlite3_bind_zeroblob(statement, place, 0))
            case .blob(let bytes):
                let copy = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
                try check(sqlite3_bind_blob(statement, place, bytes, Int32(bytes.count), copy))
            }
        }
        try check(sqlite3_step(statement))
    }

    /// A row of a result; blobs are valid until the next.
    struct Row {
        fileprivate let statement: OpaquePointer

        func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

        func number(_ column: Int32) -> UInt32 { UInt32(truncatingIfNeeded: integer(column)) }

        func blob(_ column: Int32) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(
                start: sqlite3_column_blob(statement, column), count: Int(sqlite3_column_bytes(statement, column)))
        }
    }

    /// Shows each row of a result.
    func rows(_ sql: String, _ show: (Row) throws(StorageError) -> Void) throws(StorageError) {
        let statement = try prepared(sql)
        defer { sqlite3_reset(statement) }
        while true {
            let status = sqlite3_step(statement)
            guard status == SQLITE_ROW else { return try check(status) }
            try show(Row(statement: statement))
        }
    }

    /// The number in the first column of the first row; 0 where there is no row.
    func integer(_ sql: String) throws(StorageError) -> Int64 {
        var result: Int64?
        try rows(sql) { result = result ?? $0.integer(0) }
        return result ?? 0
    }

    private func prepared(_ sql: String) throws(StorageError) -> OpaquePointer {
        if let statement = statements[sql] { return statement }
        var statement: OpaquePointer?
        try check(sqlite3_prepare_v2(connection, sql, -1, &statement, nil))
        guard let statement else { throw .fatal("\(path): an empty statement") }
        statements[sql] = statement
        return statement
    }

    private func check(_ status: Int32) throws(StorageError) {
        let text = "\(path): \(String(cString: sqlite3_errmsg(connection)))"
        switch status {
        case SQLITE_OK, SQLITE_DONE: return
        case SQLITE_BUSY, SQLITE_LOCKED: throw .locked(text)
        case SQLITE_CORRUPT, SQLITE_NOTADB: throw .corrupt(text)
        default: throw .fatal(text)
        }
    }
}
