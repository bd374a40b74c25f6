// Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"):
// four random words for a counter of four words and a key of two.

fn philox(counter: vec4u, key: vec2u) -> vec4u {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round++) {
        let a = c.x * 0xd2511f53u;
        let b = c.z * 0xcd9e8d57u;
        c = vec4u(high(c.z, 0xcd9e8d57u) ^ c.y ^ k.x, b, high(c.x, 0xd2511f53u) ^ c.w ^ k.y, a);
        k += vec2u(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}

// The upper word of the 64-bit product, which WGSL has no built-in for. No sum here exceeds a word.
fn high(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}
