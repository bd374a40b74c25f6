//! Encodes messages in Protocol buffers' wire format (<https://protobuf.dev/programming-guides/encoding>), as far as ONNX files
//! need it. No library is used, because it would bring generated code for messages that are written in one place only.

/// The fields of a protobuf message, encoded one after the other.
#[derive(Debug, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    /// Appends a field with a whole number.
    pub fn int(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// Appends a field with a 32-bit float.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Appends a field with a string or bytes.
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self = self.head(field, value.len());
        self.0.extend(value);
        self
    }

    /// Appends a field with a message.
    pub fn message(self, field: u64, value: Message) -> Self {
        self.bytes(field, value.0)
    }

    /// Appends the head of a field of `length` bytes; the caller appends the bytes.
    pub fn head(mut self, field: u64, length: usize) -> Self {
        self.varint(field << 3 | 2);
        self.varint(length as u64);
        self
    }

    /// Seven bits a byte, the lowest first, the highest bit set in all but the last.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[test]
fn numbers_and_strings_are_encoded_as_in_the_documentation() {
    assert_eq!(Message::default().int(1, 150).0, [0x08, 0x96, 0x01]);
    assert_eq!(Message::default().bytes(2, "testing").0, *b"\x12\x07testing");
    let inner = Message::default().int(1, 150);
    assert_eq!(Message::default().message(3, inner).0, [0x1a, 0x03, 0x08, 0x96, 0x01]);
    assert_eq!(Message::default().float(1, 1.0).0, [0x0d, 0, 0, 0x80, 0x3f]);
    assert_eq!(Message::default().int(1, u64::MAX).0.len(), 11);
}
