//! Locks a run folder, so that only one process trains in it at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::write_whole;
use crate::{Error, Result};

/// Held locked by whoever trains; the system frees it however that process ends.
const LOCK: &str = ".lock";
/// Says who that is. A file of its own: on Windows a locked one cannot be read.
const HOLDER: &str = ".holder";

/// A run folder that is this process's.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks a run's folder until the returned lock is dropped.
    ///
    /// # Errors
    /// `BadFile` where another process trains in it, with its number, host and beginning, or where nothing can be written.
    pub fn take(run: &Path) -> Result<Self> {
        let path = run.join(LOCK);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|error| Error::bad_file(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(run.join(HOLDER)).unwrap_or_default();
                let holder = if holder.is_empty() { "another process" } else { holder.trim() };
                return Err(Error::bad_file(run, format!("{holder} is training in this folder")));
            }
            // Some network file systems have no locks: there as before.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(Error::bad_file(&path, error)),
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let holder = format!("process {} on {}, since {},\n", std::process::id(), host(), utc(now));
        write_whole(&run.join(HOLDER), holder.as_bytes())?;
        Ok(Self { _file: file })
    }
}

fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = named.or_else(|| std::env::var("COMPUTERNAME").ok());
    let named = named.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    if named.trim().is_empty() { "a host without a name".into() } else { named.trim().to_owned() }
}

/// Seconds since 1970 as a date and time.
fn utc(seconds: u64) -> String {
    let (mut day, mut year) = (seconds / 86_400, 1970);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for days in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        (day, month) = (day - days, month + 1);
    }
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", day + 1)
}

#[test]
fn seconds_are_dates() {
    for (seconds, text) in [
        (0, "1970-01-01 00:00:00 UTC"),
        (951_782_399, "2000-02-28 23:59:59 UTC"),
        (951_868_800, "2000-03-01 00:00:00 UTC"),
        (1_798_761_599, "2026-12-31 23:59:59 UTC"),
        (4_107_542_400, "2100-03-01 00:00:00 UTC"),
    ] {
        assert_eq!(utc(seconds), text);
    }
}
