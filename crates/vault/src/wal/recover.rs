//! What is found on the disk when the log is opened.

use std::{collections::BTreeMap, io};

use palisade_keys::KeyWrap;

use super::{
    LogFault, LogFile,
    disk::Disk,
    frame::Tail,
    name_of, number_of,
    read::{Reader, messages},
};

/// What was known of the log before it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// The last file whose messages are elsewhere; 0 before the first.
    pub rolled: u64,
    /// The newest file.
    pub file: u64,
    /// How many chunks of messages that had.
    pub chunks: u64,
    /// The number of the message that was to come next.
    pub next_message: u64,
}

/// A file of the log that is not as it was written.
#[derive(Debug)]
pub struct Damage {
    /// Which.
    pub file: u64,
    /// What is wrong with it.
    pub fault: LogFault,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: Vec<LogFile>,
    pub(super) damage: Vec<Damage>,
    pub(super) next_file: u64,
    pub(super) next_message: u64,
    pub(super) before: Option<Tail>,
}

/// Reads the heads of all files and the whole of the last, which a power cut may have left unfinished.
pub(super) fn recover(disk: &dyn Disk, wrap: &dyn KeyWrap, known: Mark) -> io::Result<Found> {
    let mut damage = Vec::new();
    let mut readers = BTreeMap::new();
    let mut unfinished = Vec::new();
    let mut numbers: Vec<u64> = disk
        .list()?
        .iter()
        .filter_map(|name| number_of(name))
        .collect();
    numbers.sort_unstable();
    let newest = numbers.last().copied().unwrap_or(0);
    for number in numbers {
        let name = name_of(number);
        if number <= known.rolled {
            // Its messages are elsewhere; only its removal was cut short.
            disk.remove(&name)?;
            continue;
        }
        match Reader::open(disk, (number, &name), wrap) {
            Ok(reader) => {
                readers.insert(number, reader);
            }
            // Nothing is taken for damaged that cannot be looked at.
            Err(fault) if fault.may_pass() => return Err(cannot_look(&name, fault)),
            Err(LogFault::Head) if number > known.file => unfinished.push(number),
            Err(fault) => damage.push(Damage {
                file: number,
                fault,
            }),
        }
    }
    // A file that was just begun when the power went, or the disk was full, holds no message, and none names it.
    for number in unfinished {
        let is_named = readers.values().any(|reader: &Reader| {
            reader
                .head
                .before
                .is_some_and(|before| before.number == number)
        });
        if is_named {
            damage.push(Damage {
                file: number,
                fault: LogFault::Head,
            });
            continue;
        }
        tracing::warn!(
            file = number,
            "a telemetry log file that was never finished is taken away"
        );
        disk.remove(&name_of(number))?;
    }
    damage.extend(gaps(&readers, &damage, known));
    let mut files = Vec::new();
    let last = readers.last_key_value().map(|(number, _)| *number);
    let heads: Vec<_> = readers.values().map(|reader| reader.head.clone()).collect();
    for (index, (number, reader)) in readers.into_iter().enumerate() {
        let head = &reader.head;
        let after = heads.get(index + 1);
        let named = after
            .and_then(|after| after.before)
            .filter(|before| before.number == number);
        let file = match (named, after) {
            (Some(tail), Some(after)) => LogFile {
                number,
                first: head.first,
                next: after.first,
                is_damaged: false,
                tail,
            },
            _ => {
                let (file, mut fault) = scan(reader, (Some(number) == last).then_some(known));
                if let Some(fault) = fault.take_if(|fault| fault.may_pass()) {
                    return Err(cannot_look(&name_of(number), fault));
                }
                damage.extend(fault.map(|fault| Damage {
                    file: number,
                    fault,
                }));
                file
            }
        };
        files.push(file);
    }
    let last = files.last();
    Ok(Found {
        next_file: newest.max(known.file).max(known.rolled) + 1,
        next_message: last
            .map_or(1, |file| file.next)
            .max(known.next_message)
            .max(1),
        before: last.map(|file| file.tail),
        files,
        damage,
    })
}

/// A key that is away, or a disk that does not read now: the file may be as good as it ever was.
fn cannot_look(name: &str, fault: LogFault) -> io::Error {
    let kind = match &fault {
        LogFault::Io(error) => error.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("{name}: {fault}"))
}

/// Files that others name, or the mark, and that are not there.
fn gaps(readers: &BTreeMap<u64, Reader>, damaged: &[Damage], known: Mark) -> Vec<Damage> {
    let named = readers.values().filter_map(|reader| reader.head.before);
    let mut missing: Vec<u64> = named.map(|before| before.number).collect();
    missing.push(known.file);
    let is_there = |number: &u64| {
        readers.contains_key(number) || damaged.iter().any(|damage| damage.file == *number)
    };
    missing.retain(|number| *number > known.rolled && !is_there(number));
    missing.sort_unstable();
    missing.dedup();
    missing
        .into_iter()
        .map(|file| Damage {
            file,
            fault: LogFault::Missing,
        })
        .collect()
}

/// Reads a file that no other one describes. What a power cut left unfinished behind what is known does not count;
/// what is missing or changed before that is a fault.
fn scan(mut reader: Reader, known: Option<Mark>) -> (LogFile, Option<LogFault>) {
    let (number, first) = (reader.head.number, reader.head.first);
    let expected = known
        .filter(|known| known.file == number)
        .map_or(0, |known| known.chunks);
    let mut next = first;
    let (tail, fault) = loop {
        let (tail, offset) = (reader.tail(), reader.good);
        let chunk = match reader.next() {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break (tail, None),
            Err(fault) => break (tail, Some(fault)),
        };
        match messages(chunk, |_, _| {}) {
            Ok(behind) => next = behind,
            Err(_) => {
                let chunk = tail.chunks;
                break (tail, Some(LogFault::Chunk { chunk, offset }));
            }
        }
    };
    let found = tail.chunks;
    let fault = match fault {
        None if found < expected => Some(LogFault::Short { found, expected }),
        Some(LogFault::Chunk { .. }) if found >= expected => {
            tracing::warn!(
                file = number,
                chunk = found,
                "the end of the telemetry log was not durable yet when the power went, and does not count"
            );
            None
        }
        fault => fault,
    };
    let file = LogFile {
        number,
        first,
        next,
        is_damaged: fault.is_some(),
        tail,
    };
    (file, fault)
}
