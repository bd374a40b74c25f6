//! Makes PyTorch files for the tests, sound and broken ones: pickles from opcodes, zip archives, streams.

/// Opcodes, appended one after the other.
pub fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

pub fn int(number: i32) -> Vec<u8> {
    [&b"J"[..], &number.to_le_bytes()].concat()
}

pub fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [&b"("[..], &items.concat(), b"t"].concat()
}

pub fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items = items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
    [&b"}("[..], &items.collect::<Vec<_>>(), b"u"].concat()
}

/// A tensor of a storage of `count` numbers.
pub struct Tensor<'a> {
    pub storage: &'a str,
    pub kind: &'a str,
    pub count: i32,
    pub offset: i32,
    pub shape: &'a [i32],
    pub strides: &'a [i32],
}

impl Tensor<'_> {
    pub fn opcodes(&self) -> Vec<u8> {
        let id = [
            text("storage"),
            global("torch", self.kind),
            text(self.storage),
            text("cpu"),
            int(self.count),
        ];
        let sides = |sides: &[i32]| tuple(&sides.iter().copied().map(int).collect::<Vec<_>>());
        let hooks = [&global("collections", "OrderedDict")[..], b")R"].concat();
        let arguments = [
            [&tuple(&id)[..], b"Q"].concat(),
            int(self.offset),
            sides(self.shape),
            sides(self.strides),
            vec![0x89],
            hooks,
        ];
        [&global("torch._utils", "_rebuild_tensor_v2")[..], &tuple(&arguments), b"R"].concat()
    }
}

/// A row-major vector that is all of a storage of f32.
pub fn vector(storage: &str, count: i32) -> Vec<u8> {
    let (shape, strides) = (&[count][..], &[1][..]);
    Tensor { storage, kind: "FloatStorage", count, offset: 0, shape, strides }.opcodes()
}

pub fn pickle(opcodes: &[u8]) -> Vec<u8> {
    [b"\x80\x02", opcodes, b"."].concat()
}

pub fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// As `torch.save` does since PyTorch 1.6.
pub fn archive(opcodes: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut entries = vec![
        ("file/data.pkl".to_owned(), pickle(opcodes)),
        ("file/byteorder".to_owned(), b"little".to_vec()),
    ];
    entries.extend(storages.iter().map(|(key, bytes)| (format!("file/data/{key}"), bytes.clone())));
    entries.push(("file/version".to_owned(), b"3\n".to_vec()));
    zip(&entries)
}

/// Entries as they are, without zip64.
pub fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in entries {
        let start = file.len() as u32;
        // From the flags to the length of the name; no time, no extra field.
        let mut head = vec![0; 8];
        head.extend(crc32fast::hash(bytes).to_le_bytes());
        head.extend((bytes.len() as u32).to_le_bytes());
        head.extend((bytes.len() as u32).to_le_bytes());
        head.extend((name.len() as u16).to_le_bytes());
        head.extend([0; 2]);
        file.extend(b"PK\x03\x04\x14\x00");
        file.extend(&head);
        file.extend(name.as_bytes());
        file.extend(bytes);
        directory.extend(b"PK\x01\x02\x14\x00\x14\x00");
        directory.extend(&head);
        directory.extend([0; 10]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((entries.len() as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0; 2]);
    file
}

/// As before PyTorch 1.6; `width` bytes a number.
pub fn stream(opcodes: &[u8], storages: &[(&str, Vec<u8>)], width: usize) -> Vec<u8> {
    let magic = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let mut file = [pickle(magic), pickle(&int(1001))].concat();
    file.extend(pickle(&dict(&[("little_endian", vec![0x88])])));
    file.extend(pickle(opcodes));
    let keys: Vec<u8> = storages.iter().flat_map(|(key, _)| text(key)).collect();
    file.extend(pickle(&[b"](", &keys[..], b"e"].concat()));
    for (_, bytes) in storages {
        file.extend(((bytes.len() / width) as u64).to_le_bytes());
        file.extend(bytes);
    }
    file
}
