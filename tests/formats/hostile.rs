//! Tests that malicious, damaged and cut-off checkpoint files are refused, each with its reason.

use crate::build::{
    Tensor, archive, dict, floats, global, int, pickle, stream, text, tuple, vector, zip,
};
use crate::{read, read_within, refused};

fn tensor(shape: &[i32], strides: &[i32], offset: i32) -> Vec<u8> {
    Tensor { storage: "0", kind: "FloatStorage", count: 6, offset, shape, strides }.opcodes()
}

/// A sound archive but for the pickle.
fn with(opcodes: &[u8]) -> Vec<u8> {
    archive(opcodes, &[("0", floats(&[1.0; 6]))])
}

fn expect(file: &[u8], word: &str) {
    // Small pickles may take what `torch::budget` allows small files.
    let reason = refused(read_within(file, 2 * file.len() + (1300 << 10)));
    assert!(reason.contains(word), "{reason} / {word}");
}

#[test]
fn what_runs_code_in_other_readers_is_refused_by_name() {
    let _alone = crate::alone();
    for (module, name) in [
        ("os", "system"),
        ("posix", "getcwd"),
        ("builtins", "eval"),
        ("__builtin__", "execfile"),
        ("subprocess", "Popen"),
        ("os.path", "join"),
        ("importlib", "import_module"),
    ] {
        let named = format!("{module}.{name}");
        expect(&with(&dict(&[("a", global(module, name))])), &named);
        expect(&with(&[&global(module, name)[..], b")R"].concat()), &named);
        expect(&with(&[text(module), text(name), vec![0x93]].concat()), &named);
        expect(&stream(&global(module, name), &[], 4), &named);
        expect(&pickle(&global(module, name)), &named);
    }
}

#[test]
fn damaged_pickles_are_refused() {
    let _alone = crate::alone();
    let long_text = [&b"X"[..], &u32::MAX.to_le_bytes(), b"abc"].concat();
    let longer_text = [&[0x8d][..], &u64::MAX.to_le_bytes(), b"abc"].concat();
    let far_note = [&b"Nr"[..], &u32::MAX.to_le_bytes()].concat();
    let call = |function: Vec<u8>, arguments: &[Vec<u8>]| {
        [function, tuple(arguments), b"R".into()].concat()
    };
    let rebuild = || global("torch._utils", "_rebuild_tensor_v2");
    for (opcodes, word) in [
        (&b""[..], "an empty stack"),
        (b"N", "no dict with tensors"),
        (b"t", "a mark that it did not set"),
        (b"(", "an empty stack"),
        (b"N(0", "an empty stack"),
        (b"h\x05", "memo 5, which it did not store"),
        (b"}Nu", "a mark that it did not set"),
        (b"}(Nu", "a dict in the pickle has a key without a value"),
        (b"N(NNu", "not a dict"),
        (b"NNa", "not a list"),
        (b"N)R", "calls None"),
        (b"NQ", "persistent ID"),
        (b"X\x02\0\0\0\xff\xff", "not UTF-8"),
        (b"ccollections", "a name in the pickle has no end"),
        (b"I12\n", "this opcode"),
        (b"cposix\nsystem\n(X\x02\0\0\0lstR", "posix.system"),
        (b"(iposix\nsystem\n", "this opcode"),
        (b"NN\x81", "calls None"),
        (b"\x97", "this opcode"),
        (b"ctorch\nload\n)R", "no dict with tensors"),
        (b"cnumpy\ndtype\n)\x81}b", "no dict with tensors"),
        (b"N(K\x01\x90", "not a set"),
        (b"(K\x01\x91", "no dict with tensors"),
        (b"B\xff\xff\xff\x7f", "cut off"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "cut off"),
        (b"N1", "a mark that it did not set"),
        (b"2", "an empty stack"),
        (b"N\x80\x02", "no dict with tensors"),
        (b"N\x80\x09", "the pickle has protocol 9"),
        (&long_text, "cut off"),
        (&longer_text, "a string of 18446744073709551615 bytes"),
        (&far_note, "more data than fits a file"),
        (&call(global("torch", "FloatStorage"), &[int(4)]), "calls torch.FloatStorage with"),
        (&call(global("torch", "Size"), &[int(4)]), "calls torch.Size with"),
        (&call(rebuild(), &[int(4), int(0), tuple(&[]), tuple(&[])]), "has no storage"),
        (&[&b"N"[..], b"Nb"].concat(), "gives attributes to None"),
    ] {
        expect(&with(opcodes), word);
    }
    expect(&with(b"N.N"), "2 bytes after the pickle's end");
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let _alone = crate::alone();
    for (shape, strides, offset, word) in [
        (&[7][..], &[1][..], 0, "do not fit"),
        (&[6], &[1], 1, "do not fit"),
        (&[2], &[6], 0, "do not fit"),
        (&[-1], &[1], 0, "not up to 64 whole numbers"),
        (&[6], &[-1], 0, "not up to 64 whole numbers"),
        (&[6], &[1], -1, "offset is negative"),
        (&[2, 3], &[1], 0, "a stride for each dimension"),
        (&[5, 2], &[1, 1], 0, "overlap"),
        (&[1 << 30], &[0], 0, "more than twice"),
        (&[1 << 30, 1 << 30, 1 << 30], &[0, 0, 0], 0, "do not fit"),
        (&[1; 65], &[1; 65], 0, "not up to 64 whole numbers"),
    ] {
        expect(&with(&dict(&[("a", tensor(shape, strides, offset))])), word);
    }
    let of = |storage, count| dict(&[("a", vector(storage, count))]);
    expect(&with(&of("1", 6)), "a: the archive has no entry file/data/1");
    expect(&with(&of("../../etc/passwd", 6)), "the archive has no entry");
    expect(&with(&of("0", 5)), "24 bytes, which is not the size of 5 float32 values");
    expect(&stream(&of("0", 5), &[("0", floats(&[0.0; 6]))], 4), "6 values, but its tensors use 5");
    expect(&stream(&of("1", 6), &[("0", floats(&[0.0; 6]))], 4), "no tensor uses storage 0");
    expect(&stream(&of("0", 6), &[], 4), "in storage 0, which the file lacks");
    let twice = floats(&[0.0; 6]);
    expect(&stream(&of("0", 6), &[("0", twice.clone()), ("0", twice.clone())], 4), "listed twice");
    expect(&[&stream(&of("0", 6), &[("0", twice)], 4)[..], b"!"].concat(), "1 bytes too many");
}

/// A module that holds a module twice, which holds one twice, and so on.
fn modules(depth: usize) -> Vec<u8> {
    let class = [global("torch.nn", "Module"), b")\x81".to_vec()].concat();
    let state = |modules: Vec<u8>| {
        let tensors = dict(&[("w", vector("0", 6))]);
        [dict(&[("_parameters", tensors), ("_modules", modules)]), b"b".to_vec()].concat()
    };
    let mut opcodes = [class.clone(), state(dict(&[]))].concat();
    for level in 0..depth {
        let note = [&b"r"[..], &(level as u32 + 100).to_le_bytes()].concat();
        let recall = [&b"j"[..], &(level as u32 + 100).to_le_bytes()].concat();
        let inner = [opcodes, note, b"0".to_vec()].concat();
        let both = dict(&[("a", recall.clone()), ("b", recall)]);
        opcodes = [inner, class.clone(), state(both)].concat();
    }
    opcodes
}

/// Each takes a few bytes of file for more of memory, or for endless work.
#[test]
fn floods_are_stopped() {
    let _alone = crate::alone();
    let count = 1 << 20;
    let deep: Vec<u8> = [vec![b')'; 1], vec![0x85; count]].concat();
    // A dict that holds itself under a hundred keys.
    let itself = (0..100).flat_map(|i| [text(&format!("{i}")), b"h\0s".into()].concat());
    let itself: Vec<u8> = b"}q\0".iter().copied().chain(itself).collect();
    for (opcodes, word) in [
        (vec![b'N'; count], "more data than fits a file"),
        (vec![b'('; count], "more data than fits a file"),
        (vec![b']'; count], "more data than fits a file"),
        (vec![b'}'; count], "more data than fits a file"),
        (vec![b')'; count], "more data than fits a file"),
        (deep, "more data than fits a file"),
        ([&b"]"[..], &b"Na".repeat(count)].concat(), "more data than fits a file"),
        ([&b"N"[..], &[0x94].repeat(count)].concat(), "more data than fits a file"),
        (itself, "no dict with tensors"),
        (
            (0..2000).flat_map(|i| global("a", &format!("b{i}"))).collect(),
            "more than 1024 different functions",
        ),
        (
            [&global("a", "b")[..], &b")\x81"[..]].concat().repeat(count / 8),
            "more data than fits a file",
        ),
        // Modules in a module in two places each, thirty deep.
        (modules(30), "more data than fits a file"),
    ] {
        let file = with(&opcodes);
        let started = std::time::Instant::now();
        expect(&file, word);
        assert!(started.elapsed().as_secs() < 5, "{word}: {:?}", started.elapsed());
    }
    // Forty names of one storage.
    let names: Vec<_> = (0..40).map(|i| format!("{i}")).collect();
    let shared: Vec<_> = names.iter().map(|name| (name.as_str(), vector("0", 5000))).collect();
    expect(&archive(&dict(&shared), &[("0", floats(&[1.0; 5000]))]), "more than twice");
}

/// Pickles of one file that take little each.
#[test]
fn the_pickles_of_a_stream_share_what_they_may_take() {
    let _alone = crate::alone();
    let dicts = |then: &[u8]| pickle(&[&b"}0".repeat(100_000), then].concat());
    let magic = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let file = [dicts(magic), dicts(&crate::build::int(1001))].concat();
    expect(&[file, vec![0; 6 << 20]].concat(), "more data than fits a file");
}

/// Headers that take far more memory than bytes, alone and with just enough data to be let through.
#[test]
fn long_safetensors_headers_are_stopped() {
    let _alone = crate::alone();
    let count = 20_000;
    let join = |part: &dyn Fn(usize) -> String| (0..count).map(part).collect::<Vec<_>>().join(",");
    let empty = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let strings = join(&|i| format!("\"{i}\":\"\""));
    let floods = [
        format!("\"__metadata__\":{{{strings}}}"),
        join(&|i| format!("\"{i}\":{empty}")),
        format!(
            r#""a":{{"dtype":"F32","shape":[{}],"data_offsets":[0,0]}}"#,
            join(&|_| "0".into())
        ),
        format!("\"{}\":{empty}", "a".repeat(200_000)),
        format!("\"a\\n{}\":{empty}", "a".repeat(200_000)),
    ];
    for flood in &floods {
        let file = |count: usize| {
            let data = format!(
                r#""z":{{"dtype":"F32","shape":[{count}],"data_offsets":[0,{}]}}"#,
                4 * count
            );
            let header = format!("{{{flood},{data}}}");
            [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; 4 * count]]
                .concat()
        };
        expect(&file(1), "values is too large for a file of");
        let values = flood.bytes().filter(|byte| matches!(byte, b',' | b':')).count();
        let enough = file((4 * flood.len() + 128 * (values + 20)) / 8);
        // What the tensor itself takes is known.
        read_within(&enough, 2 * enough.len() + (1300 << 10)).unwrap();
        // Damaged at its end, so that the reason is looked for in it.
        expect(&enough[..enough.len() - 4], "");
    }
}

/// A storage in another: each may be summed once, all together no more than the file.
#[test]
fn storages_on_top_of_each_other_are_refused() {
    let _alone = crate::alone();
    let name = "file/data/1".to_owned();
    let inner = zip(&[(name.clone(), floats(&[1.0; 1000]))]);
    let (local, record) = (30 + name.len() + 4000, 46 + name.len());
    let outer = [&inner[..local], &[0; 3]].concat();
    let opcodes = dict(&[("a", vector("0", outer.len() as i32 / 4)), ("b", vector("1", 1000))]);
    let mut file = archive(&opcodes, &[("0", outer)]);
    let inside = file.windows(local).position(|bytes| bytes == &inner[..local]).unwrap();
    let mut central = inner[local..local + record].to_vec();
    central[42..46].copy_from_slice(&(inside as u32).to_le_bytes());
    let mut end = file.split_off(file.len() - 22);
    file.extend(&central);
    let length = u32::from_le_bytes(end[12..16].try_into().unwrap()) + record as u32;
    (end[8], end[10]) = (end[8] + 1, end[10] + 1);
    end[12..16].copy_from_slice(&length.to_le_bytes());
    expect(&[file, end].concat(), "b: the tensor's storage overlaps another");
}

#[test]
fn damaged_archives_are_refused() {
    let _alone = crate::alone();
    let sound = with(&dict(&[("a", vector("0", 6))]));
    read(&sound).unwrap();
    let end = sound.len() - 22;
    let directory = u32::from_le_bytes(sound[end + 16..end + 20].try_into().unwrap()) as usize;
    let changed = |at: usize, to: &[u8]| {
        let mut file = sound.clone();
        file[at..at + to.len()].copy_from_slice(to);
        file
    };
    let data = sound.windows(4).position(|bytes| bytes == floats(&[1.0])).unwrap();
    for (file, word) in [
        (changed(data, &[1]), "a: its storage is damaged"),
        (changed(40, b"?"), "data.pkl: its header is not where"),
        (changed(60, b"?"), "data.pkl is damaged"),
        (changed(end + 8, &[0xff; 4]), "does not fit the file"),
        (changed(end + 10, &[3]), "does not fit the file"),
        (changed(directory, b"X"), "the zip directory is damaged"),
        (changed(end + 12, &[0xff; 4]), "does not fit the file"),
        (changed(end + 16, &[0xff; 4]), "does not fit the file"),
        (changed(end + 4, &[1]), "in several parts"),
        (changed(end + 20, &[1]), "cut off"),
        (changed(directory + 8, &[1]), "is encrypted"),
        (changed(directory + 10, &[8]), "is compressed"),
        (changed(directory + 20, &[0xff]), "though it is not compressed"),
        (changed(directory + 28, &[0xff; 2]), "cut off"),
        (changed(directory + 42, &[0xff; 4]), "its header is not where"),
        (changed(directory + 46, &[0xff]), "not UTF-8"),
    ] {
        expect(&file, word);
    }
    let entry = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    expect(&zip(&[]), "cut off, or not a PyTorch");
    expect(&zip(&[entry("a/version", b"3")]), "one data.pkl");
    expect(&zip(&[entry("a/data.pkl", b""), entry("b/data.pkl", b"")]), "one data.pkl");
    expect(&zip(&[entry("a/x", b""), entry("a/x", b"")]), "twice");
    let big = [entry("a/data.pkl", &pickle(b"N")), entry("a/byteorder", b"big")];
    expect(&zip(&big), "not little-endian");
    expect(b"%PDF-1.7 and so on", "not a PyTorch checkpoint");
    expect(&pickle(&dict(&[])), "PyTorch's magic number is not in it");
}

/// All beginnings of a file, none of which is one.
#[test]
fn every_truncation_is_refused() {
    let _alone = crate::alone();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cases/formats");
    let golden = |name: &str| std::fs::read(format!("{folder}/{name}")).unwrap();
    let opcodes = dict(&[("a", vector("0", 6)), ("b", vector("1", 3))]);
    let old = stream(&opcodes, &[("0", floats(&[1.0; 6])), ("1", floats(&[2.0; 3]))], 4);
    for file in [golden("small.pth"), golden("small.safetensors"), old] {
        read(&file).unwrap();
        for length in 0..file.len() {
            refused(read(&file[..length]));
        }
    }
}
