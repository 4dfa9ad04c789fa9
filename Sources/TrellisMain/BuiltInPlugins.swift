// SPDX-License-Identifier: MIT

import BinlogStorage
import CompressedBinlogStorage
import FairScheduler
import KeyedSchedulers
import MemoryStorage
import PriorityScheduler
import TCPTransport
public import TrellisCore
import UnixTransport

/// The plugins that are compiled into `trellisd`.
///
/// A server of your own has this list and its own plugins (see `runServer`).
public let builtInPlugins: [AnyPlugin] = [
    .storage(MemoryStorage.plugin),
    .storage(BinlogStorage.plugin),
    .storage(CompressedBinlogStorage.plugin),
    .transport(TCPTransport.plugin),
    .transport(UnixTransport.plugin),
    .scheduler(PriorityScheduler.plugin),
    .scheduler(FairScheduler.plugin),
    .scheduler(KeyedScheduler.fifo),
    .scheduler(KeyedScheduler.lifo),
    .scheduler(KeyedScheduler.deadline),
    .scheduler(KeyedScheduler.aging),
]
