// SPDX-License-Identifier: MIT
// A storage plugin for trellisd in Rust, without crates. Build and test it:
//
//     rustc --edition 2021 -O --crate-type cdylib -o librustslots.so slots.rs
//     trellisd plugins test storage ./librustslots.so
//
// It keeps jobs in a file of slots, as the one in C does. `abi` is what it needs of trellis_plugin.h, by hand; bindgen would
// make the same. A panic must not leave a function: `extern "C"` ends the process instead, which costs nothing that was
// acknowledged.

use std::collections::HashMap;
use std::ffi::{c_char, c_void, CStr};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::null;

/// trellis_plugin.h, version 1.
#[allow(dead_code)]
mod abi {
    use super::*;

    pub const ABI_VERSION: u32 = 1;
    pub const OK: i32 = 0;
    pub const FULL: i32 = 2;
    pub const CORRUPT: i32 = 3;
    pub const LOCKED: i32 = 4;
    pub const FATAL: i32 = 5;
    pub const PATH: u32 = 2;
    pub const INTEGER: u32 = 3;
    pub const DEFAULT_TEXT: u32 = 2;
    pub const DEFAULT_NUMBER: u32 = 3;
    pub const PUT: u32 = 1;
    pub const DELETE: u32 = 3;
    pub const MOVE: u32 = 4;

    #[repr(C)]
    pub struct Opt {
        pub size: usize,
        pub key: *const c_char,
        pub kind: u32,
        pub default_kind: u32,
        pub default_text: *const c_char,
        pub default_number: i64,
        pub minimum: i64,
        pub maximum: i64,
        pub choices: *const *const c_char,
        pub documentation: *const c_char,
    }

    #[repr(C)]
    pub struct Value {
        pub size: usize,
        pub key: *const c_char,
        pub text: *const c_char,
        pub number: i64,
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Job {
        pub size: usize,
        pub id: u64,
        pub tube: *const u8,
        pub tube_bytes: usize,
        pub body: *const u8,
        pub body_bytes: usize,
        pub state: u32,
        pub priority: u32,
        pub delay: u32,
        pub ttr: u32,
        pub created_at: i64,
        pub deadline: i64,
        pub sequence: u64,
        pub reserves: u32,
        pub timeouts: u32,
        pub releases: u32,
        pub buries: u32,
        pub kicks: u32,
        pub failures: u32,
    }

    #[repr(C)]
    pub struct Open {
        pub size: usize,
        pub host: *const c_void,
        pub values: *const Value,
        pub value_count: usize,
        pub read_only: bool,
    }

    pub type Deliver = extern "C" fn(*mut c_void, *const Job, u64);
    pub type Missing = Option<extern "C" fn()>;

    #[repr(C)]
    pub struct Storage {
        pub size: usize,
        pub open: extern "C" fn(&Open, &mut *mut super::Store, *mut c_char, usize) -> i32,
        pub recover: extern "C" fn(&mut super::Store, Deliver, *mut c_void, &mut u64, *mut c_char, usize) -> i32,
        pub admit: extern "C" fn(&super::Store, usize, usize) -> bool,
        pub append: extern "C" fn(&mut super::Store, u32, &Job, &mut u64),
        pub maintain: Missing,
        pub commit: extern "C" fn(&mut super::Store, *mut u64, *mut c_char, usize) -> i32,
        pub completed: Missing,
        pub is_congested: Missing,
        pub segment: Missing,
        pub statistics: Missing,
        pub close: extern "C" fn(*mut super::Store, *mut c_char, usize) -> i32,
        pub validate: Missing,
    }

    #[repr(C)]
    pub struct Plugin {
        pub size: usize,
        pub abi_version: u32,
        pub option_count: u32,
        pub options: *const Opt,
        pub kind: *const c_char,
        pub name: *const c_char,
        pub version: *const c_char,
        pub summary: *const c_char,
        pub storage: *const Storage,
    }

    // The pointers are to what never changes.
    unsafe impl Sync for Opt {}
    unsafe impl Sync for Plugin {}

    extern "C" {
        pub fn flock(file: i32, operation: i32) -> i32;
        pub fn posix_fallocate(file: i32, offset: i64, length: i64) -> i32;
    }
}

const SECTOR: usize = 512;
const SLOT: usize = 4096;
const JOB_AT: usize = 16;
const JOB_BYTES: usize = std::mem::size_of::<abi::Job>();
const TUBE_AT: usize = JOB_AT + JOB_BYTES;
const LONGEST_TUBE: usize = 200;

type Sector = [u8; SECTOR];

/// A slot on the disk: checksum of the sector, checksum of the body, the job's numbers as C has them, its tube; behind the
/// sector, its body.
pub struct Store {
    file: File,
    slots: usize,
    highest: u64,
    heads: HashMap<usize, Sector>,
    free: Vec<usize>,
    /// What the turn changed.
    writes: Vec<(u64, Vec<u8>)>,
}

/// A status and what to say.
struct Failure(i32, String);

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure { Failure(abi::FATAL, error.to_string()) }
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf29ce484222325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100000001b3))
}

fn number(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[..8]);
    u64::from_ne_bytes(number)
}

fn offset(slot: usize) -> u64 { (SECTOR + slot * SLOT) as u64 }

impl Store {
    fn open(path: &str, slots: usize, read_only: bool) -> Result<Store, Failure> {
        let file = OpenOptions::new().read(true).write(!read_only).create(!read_only).mode(0o600).open(path)
            .map_err(|error| Failure(abi::FATAL, format!("can't open {path}: {error}")))?;
        let (shared, exclusive, at_once) = (1, 2, 4);
        if unsafe { abi::flock(file.as_raw_fd(), at_once | if read_only { shared } else { exclusive }) } != 0 {
            return Err(Failure(abi::LOCKED, format!("{path} is locked by another process")));
        }
        let (size, length) = (offset(slots), file.metadata()?.len());
        if length > size || read_only && length < size {
            let text = format!("{path} has {length} bytes, and {slots} slots take {size}; there can be more, never fewer");
            return Err(Failure(abi::CORRUPT, text));
        }
        if !read_only {
            let status = unsafe { abi::posix_fallocate(file.as_raw_fd(), 0, size as i64) };
            if status != 0 {
                let error = io::Error::from_raw_os_error(status);
                return Err(Failure(abi::FULL, format!("can't make {path} of {size} bytes: {error}")));
            }
            file.sync_data()?;
            // The file is on the disk for certain when the folder that names it is.
            let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        let mut first = [0; 8];
        file.read_exact_at(&mut first, 0)?;
        let highest = u64::from_ne_bytes(first);
        Ok(Store { file, slots, highest, heads: HashMap::new(), free: Vec::new(), writes: Vec::new() })
    }

    fn recover(&mut self, deliver: impl Fn(&abi::Job, u64)) -> Result<u64, Failure> {
        let mut bytes = [0; SLOT];
        for slot in (0..self.slots).rev() {
            self.file.read_exact_at(&mut bytes, offset(slot))?;
            let mut job: abi::Job = unsafe { std::ptr::read_unaligned(bytes[JOB_AT..].as_ptr().cast()) };
            let is_live = job.id != 0 && job.body_bytes <= SLOT - SECTOR && number(&bytes) == checksum(&bytes[8..SECTOR])
                && number(&bytes[8..]) == checksum(&bytes[SECTOR..SECTOR + job.body_bytes]);
            if !is_live {
                self.free.push(slot);
                continue;
            }
            self.highest = self.highest.max(job.id);
            job.tube = bytes[TUBE_AT..].as_ptr();
            job.body = bytes[SECTOR..].as_ptr();
            deliver(&job, slot as u64);
            let mut head = [0; SECTOR];
            head.copy_from_slice(&bytes[..SECTOR]);
            self.heads.insert(slot, head);
        }
        Ok(self.highest)
    }

    fn append(&mut self, kind: u32, job: &abi::Job, note: &mut u64) {
        if kind == abi::PUT {
            // `admit` said that there is one.
            let Some(slot) = self.free.pop() else { return };
            *note = slot as u64;
            self.highest = self.highest.max(job.id);
        }
        let slot = *note as usize;
        if kind == abi::DELETE {
            self.heads.remove(&slot);
            self.free.push(slot);
            self.writes.push((offset(slot), vec![0; SECTOR]));
            return;
        }
        let mut head = self.heads.get(&slot).copied().unwrap_or([0; SECTOR]);
        let plain = abi::Job { tube: null(), body: null(), ..*job };
        unsafe { std::ptr::write_unaligned(head[JOB_AT..].as_mut_ptr().cast(), plain) };
        let mut body: &[u8] = &[];
        if kind == abi::PUT || kind == abi::MOVE {
            // A move changes the head only, which is a sector: the disk writes all of it or nothing.
            let tube = unsafe { std::slice::from_raw_parts(job.tube, job.tube_bytes) };
            head[TUBE_AT..TUBE_AT + tube.len()].copy_from_slice(tube);
        }
        if kind == abi::PUT {
            if job.body_bytes > 0 {
                body = unsafe { std::slice::from_raw_parts(job.body, job.body_bytes) };
            }
            head[8..16].copy_from_slice(&checksum(body).to_ne_bytes());
        }
        let sum = checksum(&head[8..]);
        head[..8].copy_from_slice(&sum.to_ne_bytes());
        self.heads.insert(slot, head);
        self.writes.push((offset(slot), [&head[..], body].concat()));
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if self.writes.is_empty() {
            return Ok(());
        }
        // The highest id first: no job is on the disk whose number might be given out again.
        self.file.write_all_at(&self.highest.to_ne_bytes(), 0)?;
        for (offset, bytes) in self.writes.drain(..) {
            self.file.write_all_at(&bytes, offset)?;
        }
        Ok(self.file.sync_data()?)
    }
}

/// Makes a status of a result, and writes the text of an error where the server wants it.
fn answer(result: Result<(), Failure>, error: *mut c_char, capacity: usize) -> i32 {
    let Err(Failure(status, text)) = result else { return abi::OK };
    let bytes = text.as_bytes();
    let count = bytes.len().min(capacity - 1);
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), error.cast(), count);
        *error.add(count) = 0;
    }
    status
}

extern "C" fn open(request: &abi::Open, result: &mut *mut Store, error: *mut c_char, capacity: usize) -> i32 {
    let (mut path, mut slots) = (String::new(), 0);
    for value in unsafe { std::slice::from_raw_parts(request.values, request.value_count) } {
        match unsafe { CStr::from_ptr(value.key) }.to_bytes() {
            b"path" => path = unsafe { CStr::from_ptr(value.text) }.to_string_lossy().into_owned(),
            b"slots" => slots = value.number as usize,
            _ => {}
        }
    }
    let opened = Store::open(&path, slots, request.read_only).map(|store| *result = Box::into_raw(Box::new(store)));
    answer(opened, error, capacity)
}

extern "C" fn recover(
    store: &mut Store, deliver: abi::Deliver, context: *mut c_void, highest: &mut u64, error: *mut c_char, capacity: usize,
) -> i32 {
    let found = store.recover(|job, note| deliver(context, job, note));
    answer(found.map(|id| *highest = id), error, capacity)
}

extern "C" fn admit(store: &Store, body_bytes: usize, tube_bytes: usize) -> bool {
    !store.free.is_empty() && body_bytes <= SLOT - SECTOR && tube_bytes <= LONGEST_TUBE
}

extern "C" fn append(store: &mut Store, kind: u32, job: &abi::Job, note: &mut u64) { store.append(kind, job, note) }

extern "C" fn commit(store: &mut Store, _ticket: *mut u64, error: *mut c_char, capacity: usize) -> i32 {
    answer(store.commit(), error, capacity)
}

extern "C" fn close(store: *mut Store, error: *mut c_char, capacity: usize) -> i32 {
    let mut store = unsafe { Box::from_raw(store) };
    answer(store.commit(), error, capacity)
}

static STORAGE: abi::Storage = abi::Storage {
    size: std::mem::size_of::<abi::Storage>(), open, recover, admit, append, maintain: None, commit, completed: None,
    is_congested: None, segment: None, statistics: None, close, validate: None,
};

static OPTIONS: [abi::Opt; 2] = [
    abi::Opt {
        size: std::mem::size_of::<abi::Opt>(), key: c"path".as_ptr(), kind: abi::PATH, default_kind: abi::DEFAULT_TEXT,
        default_text: c"jobs.slots".as_ptr(), default_number: 0, minimum: 0, maximum: 0, choices: null(),
        documentation: c"The file of the jobs. It is made where there is none.".as_ptr(),
    },
    abi::Opt {
        size: std::mem::size_of::<abi::Opt>(), key: c"slots".as_ptr(), kind: abi::INTEGER,
        default_kind: abi::DEFAULT_NUMBER, default_text: null(), default_number: 4096, minimum: 1, maximum: 1 << 24,
        choices: null(),
        documentation: c"How many jobs there can be: later there can be more, never fewer.".as_ptr(),
    },
];

static PLUGIN: abi::Plugin = abi::Plugin {
    size: std::mem::size_of::<abi::Plugin>(), abi_version: abi::ABI_VERSION, option_count: 2, options: OPTIONS.as_ptr(),
    kind: c"storage".as_ptr(), name: c"rust-slots".as_ptr(), version: c"1.0".as_ptr(),
    summary: c"Keeps small jobs in a file of slots.".as_ptr(), storage: &STORAGE,
};

/// The one function that the server looks for.
#[no_mangle]
pub extern "C" fn trellis_plugin_at(index: u32) -> *const abi::Plugin {
    if index == 0 { &PLUGIN } else { null() }
}
