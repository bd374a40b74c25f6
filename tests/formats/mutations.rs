//! Damages intact checkpoint files at random, from a fixed seed, and reads them: no panic, no hang, and no more memory than twice
//! the file and 1.3 MB, which small files need. `LAPIDARY_FUZZ_SECONDS` is the duration (default: 3); `fuzz/` has the same test for cargo-fuzz, guided by coverage.

use crate::build::{Tensor, archive, dict, floats, global, pickle, stream, text, vector, zip};
use crate::read_within;
use std::time::{Duration, Instant};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// What repeats what comes.
    pub fn state(&self) -> u64 {
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % end.max(1) as u64) as usize
    }
}

/// Makes one to eight changes.
pub fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    const TELLING: [u8; 12] = *b"\x00\xff\x7f\x80(tRQ.u\x8d}";
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        let to = at + random.below(bytes.len() - at).min(64);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => bytes.extend_from_within(at..to),
            3 => {
                let part = bytes[at..to].to_vec();
                let place = random.below(bytes.len());
                bytes.splice(place..place, part);
            }
            4 if at + 4 <= bytes.len() => bytes[at..at + 4].fill(TELLING[random.below(4)]),
            5 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ if at < bytes.len() => bytes[at] = TELLING[random.below(TELLING.len())],
            _ => {}
        }
    }
}

/// When to stop.
pub fn until() -> Instant {
    let seconds = std::env::var("LAPIDARY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Instant::now() + Duration::from_secs(seconds.unwrap_or(3))
}

#[test]
fn damaged_files_are_refused_or_read() {
    let _alone = crate::alone();
    let until = until();
    let (shape, strides) = (&[2, 3][..], &[1, 2][..]);
    let strided =
        Tensor { storage: "0", kind: "FloatStorage", count: 6, offset: 0, shape, strides };
    let state = dict(&[("module.a", strided.opcodes()), ("module.b", vector("1", 3))]);
    let object = |module: &str, name: &str, state: Vec<u8>| {
        [global(module, name), b")\x81".to_vec(), state, b"b".to_vec()].concat()
    };
    let inner = object(
        "mine",
        "Conv",
        dict(&[("_parameters", dict(&[("w", vector("1", 3))])), ("_modules", dict(&[]))]),
    );
    let module = dict(&[
        ("_buffers", dict(&[("mu", vector("1", 3)), ("sigma", vector("1", 3))])),
        ("_modules", dict(&[("net", inner)])),
    ]);
    let opcodes = dict(&[
        ("ema_state_dict", state),
        ("epoch", b"K\x07".into()),
        ("x", text("y")),
        ("args", object("argparse", "Namespace", dict(&[("lr", b"K\x01".into())]))),
        ("seen", b"\x8f(K\x01K\x02\x90".to_vec()),
        ("bytes", b"C\x03abc0B\x02\0\0\0ab".to_vec()),
        ("list", [b"](".to_vec(), dict(&[("a", vector("1", 3))]), b"e".to_vec()].concat()),
    ]);
    let whole = object("mine", "Net", module);
    let storages = [("0", floats(&[1.0; 6])), ("1", floats(&[2.0; 3]))];
    let sound = archive(&opcodes, &storages);
    let safetensors = read_within(&sound, 1 << 20).unwrap().to_bytes().unwrap();
    let modules = [archive(&whole, &storages), stream(&whole, &storages, 4)];
    let others = stream(&opcodes, &storages, 4);
    let [module, old_module] = modules;
    let files = [sound, others, safetensors, module, old_module];
    let mut random = Random(20);
    let (mut tried, mut sound) = (0u64, 0u64);
    while Instant::now() < until {
        let seed = random.0;
        let mut file = match random.below(7) {
            // An archive around a damaged pickle, with sums that fit.
            which @ 5..=6 => {
                let mut described = pickle(if which == 5 { &opcodes } else { &whole });
                damage(&mut random, &mut described);
                let entries = [("file/data.pkl", described)];
                let named =
                    storages.iter().map(|(key, bytes)| (format!("file/data/{key}"), bytes.clone()));
                let entries = entries.map(|(name, bytes)| (name.to_owned(), bytes)).into_iter();
                zip(&entries.chain(named).collect::<Vec<_>>())
            }
            which => files[which].clone(),
        };
        if !file.starts_with(b"PK") || random.below(2) == 0 {
            damage(&mut random, &mut file);
        }
        let started = Instant::now();
        // What `torch::budget` allows small files.
        let read = read_within(&file, 2 * file.len() + (1300 << 10));
        assert!(started.elapsed().as_secs() < 10, "seed {seed}: {:?}", started.elapsed());
        if let Err(error) = &read {
            assert!(error.to_string().starts_with("given.pth: "), "seed {seed}: {error}");
        }
        tried += 1;
        sound += u64::from(read.is_ok());
    }
    println!("{tried} files, {sound} of them sound");
    assert!(tried > 1000, "{tried} files");
}
