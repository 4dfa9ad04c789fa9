// SPDX-License-Identifier: MIT

import MemoryStorage
import PriorityScheduler
import TCPTransport
import TrellisCore
import UnixTransport

/// The plugins that are compiled into this server.
///
/// A server with other plugins has another list.
let builtInPlugins: [AnyPlugin] = [
    .storage(MemoryStorage.plugin),
    .transport(TCPTransport.plugin),
    .transport(UnixTransport.plugin),
    .scheduler(PriorityScheduler.plugin),
]
