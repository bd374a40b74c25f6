//! TensorBoard's event files: TFRecords of `Event` messages (tensorflow/core/util/event.proto), of which this writes
//! scalars, PNG images and hyperparameters. The few fields that are needed are encoded here.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};
use toml::Value;

use crate::{Error, Result};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// A file of TensorBoard events, written by one process of a run.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a TensorBoard event file in a folder, under a name that no other process takes.
    ///
    /// # Errors
    /// `BadFile` where it cannot be written.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let failed = |error| Error::bad_file(folder, error);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let name = |n: u32| {
            let (second, process) = (now() as u64, std::process::id());
            folder.join(format!("events.out.tfevents.{second}.lapidary.{process}.{n}"))
        };
        for n in 0.. {
            let path = name(n);
            match File::create_new(&path) {
                Ok(file) => {
                    let mut events = Self { path, file };
                    events.event(0, |event| event.bytes(3, b"brain.Event:2"))?;
                    return Ok(events);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(Error::bad_file(folder, "the folder has no free name for a TensorBoard events file"))
    }

    /// Returns the path of the TensorBoard event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the scalars of one training step into the TensorBoard event file.
    ///
    /// # Errors
    /// `BadFile` where they cannot be written, as for all that follow.
    pub fn scalars(&mut self, step: u64, scalars: &[(String, f32)]) -> Result<()> {
        self.summary(step, |summary| {
            for (tag, value) in scalars {
                summary.message(1, |entry| {
                    entry.bytes(1, tag.as_bytes());
                    entry.float(2, *value);
                });
            }
        })
    }

    /// Writes an image that is already encoded as PNG into the TensorBoard event file, under a tag.
    pub fn image(
        &mut self,
        step: u64,
        tag: &str,
        [width, height]: [u32; 2],
        png: &[u8],
    ) -> Result<()> {
        self.summary(step, |summary| {
            summary.message(1, |entry| {
                entry.bytes(1, tag.as_bytes());
                entry.message(4, |image| {
                    image.varint(1, height.into());
                    image.varint(2, width.into());
                    image.varint(3, 3); // RGB
                    image.bytes(4, png);
                });
            });
        })
    }

    /// Writes the settings of a run into the TensorBoard event file, for its HParams tab: numbers as such, anything else as text.
    pub fn hyperparameters(&mut self, name: &str, all: &[(String, Value)]) -> Result<()> {
        let mut start = Message::default();
        for (key, value) in all {
            // An entry of a map is a message of key and value; the value is google.protobuf.Value.
            start.message(1, |entry| {
                entry.bytes(1, key.as_bytes());
                entry.message(2, |number| match value {
                    Value::Integer(whole) => number.double(2, *whole as f64),
                    Value::Float(real) => number.double(2, *real),
                    Value::String(text) => number.bytes(3, text.as_bytes()),
                    other => number.bytes(3, other.to_string().as_bytes()),
                });
            });
        }
        start.bytes(4, name.as_bytes());
        start.double(5, now());
        let mut plugin = Message::default();
        plugin.bytes(3, &start.0);
        self.summary(0, |summary| {
            summary.message(1, |entry| {
                entry.bytes(1, b"_hparams_/session_start_info");
                // The reader wants a tensor of this very kind in each value: one float, zero.
                entry.message(8, |tensor| {
                    tensor.varint(1, 1);
                    tensor.message(2, |shape| shape.message(2, |side| side.varint(1, 1)));
                    tensor.bytes(5, &0.0_f32.to_le_bytes());
                });
                entry.message(9, |metadata| {
                    metadata.message(1, |data| {
                        data.bytes(1, b"hparams");
                        data.bytes(2, &plugin.0);
                    });
                });
            });
        })
    }

    fn summary(&mut self, step: u64, fill: impl FnOnce(&mut Message)) -> Result<()> {
        self.event(step, |event| event.message(5, fill))
    }

    /// A record: its length, the length's checksum, the event, its checksum.
    fn event(&mut self, step: u64, fill: impl FnOnce(&mut Message)) -> Result<()> {
        let mut event = Message::default();
        event.double(1, now());
        event.varint(2, step);
        fill(&mut event);
        let length = (event.0.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(&length));
        record.extend(&event.0);
        record.extend(masked(&event.0));
        self.file.write_all(&record).map_err(|error| Error::bad_file(&self.path, error))
    }
}

/// Masks a CRC as TFRecords do, because the data that it is of may contain checksums.
fn masked(bytes: &[u8]) -> [u8; 4] {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A message of protocol buffers on its way.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn raw(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.raw(field << 3 | kind);
    }

    fn varint(&mut self, field: u64, number: u64) {
        self.key(field, 0);
        self.raw(number);
    }

    fn double(&mut self, field: u64, number: f64) {
        self.key(field, 1);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.raw(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn float(&mut self, field: u64, number: f32) {
        self.key(field, 5);
        self.0.extend(number.to_le_bytes());
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}
