// 1x1 convolution as in conv2d_point.wgsl, and the derivative for x of one of stride 2 as in conv2d_double.wgsl, in tiles of
// 16 places of a plane by 8 channels, for CPU rasterisers without subgroups: a load costs as much as ten products there,
// and sums lie in memory anyway, so that four in channels are added to one at a time.
//
//   grid     x: one invocation per 16 places of the smaller plane, for the images of the launch; y: one workgroup per 8 output
//            channels
//   x, y     [image][channel][row][column], the smaller planes of whole quads; of stride 2: the larger height even, the
//            larger width divisible by 8
//   w        packed by conv2d_pack.wgsl: [out channel / 8][in channel][out channel % 8]
//   mask, residual  as y
//
// Host side: src/ops/packed_conv2d.rs.
// Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_storage.wgsl, shared/epilogue*.wgsl, shared/conv2d_tile.wgsl,
// shared/conv2d_channels.wgsl.

// Four places of four in channels.
struct Block { i0: vec4f, i1: vec4f, i2: vec4f, i3: vec4f }

// Every one of four columns, or every other one of eight: word by word in either case, as a branch would cost more.
fn columns(at: u32, step: u32) -> vec4f {
    return vec4f(x_word(at), x_word(at + step), x_word(at + 2u * step), x_word(at + 3u * step));
}

fn columns_of_four(at: u32, step: u32, i: vec4u) -> Block {
    return Block(columns(at + i.x, step), columns(at + i.y, step), columns(at + i.z, step), columns(at + i.w, step));
}

// The weights of an in channel, none for those beyond the last.
fn weights(tap: u32, lane: u32, inside: f32) -> Octet {
    let w = octet(tap, lane);
    return Octet(w.low * inside, w.high * inside);
}

fn four(sum: vec4f, w0: f32, w1: f32, w2: f32, w3: f32, x: Block) -> vec4f {
    return vec4f(
        fma(w0, x.i0.x, fma(w1, x.i1.x, fma(w2, x.i2.x, fma(w3, x.i3.x, sum.x)))),
        fma(w0, x.i0.y, fma(w1, x.i1.y, fma(w2, x.i2.y, fma(w3, x.i3.y, sum.y)))),
        fma(w0, x.i0.z, fma(w1, x.i1.z, fma(w2, x.i2.z, fma(w3, x.i3.z, sum.z)))),
        fma(w0, x.i0.w, fma(w1, x.i1.w, fma(w2, x.i2.w, fma(w3, x.i3.w, sum.w)))),
    );
}

fn add(tile: ptr<function, Tile>, w0: Octet, w1: Octet, w2: Octet, w3: Octet, x: Block) {
    (*tile).c0 = four((*tile).c0, w0.low.x, w1.low.x, w2.low.x, w3.low.x, x);
    (*tile).c1 = four((*tile).c1, w0.low.y, w1.low.y, w2.low.y, w3.low.y, x);
    (*tile).c2 = four((*tile).c2, w0.low.z, w1.low.z, w2.low.z, w3.low.z, x);
    (*tile).c3 = four((*tile).c3, w0.low.w, w1.low.w, w2.low.w, w3.low.w, x);
    (*tile).c4 = four((*tile).c4, w0.high.x, w1.high.x, w2.high.x, w3.high.x, x);
    (*tile).c5 = four((*tile).c5, w0.high.y, w1.high.y, w2.high.y, w3.high.y, x);
    (*tile).c6 = four((*tile).c6, w0.high.z, w1.high.z, w2.high.z, w3.high.z, x);
    (*tile).c7 = four((*tile).c7, w0.high.w, w1.high.w, w2.high.w, w3.high.w, x);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let in_plane = params.width * params.height;
    let plane = params.out_width * params.out_height;
    let halves = params.out_width < params.width;
    let doubles = params.out_width > params.width;
    let step = select(1u, 2u, halves);
    let small = min(in_plane, plane);
    let tiles = (small + 15u) / 16u;
    let flat = workgroup.x * WORKGROUP + lane;
    if flat >= params.images * tiles { return; }
    let n = params.first_image + flat / tiles;
    let place = flat % tiles * 16u;
    let block = params.first_block + workgroup.y;
    // Quads beyond the last are read there and not kept.
    let places = min(vec4u(place) + vec4u(0u, 4u, 8u, 12u), vec4u(small - 4u));
    let rows = places / min(params.width, params.out_width);
    let origins = n * params.inputs * in_plane + select(places, places * 2u + rows * params.width, vec4<bool>(halves));

    var a = Tile();
    var b = Tile();
    var c = Tile();
    var d = Tile();
    for (var i = params.first_input; i < params.end_input; i += 4u) {
        let channels = vec4u(i) + vec4u(0u, 1u, 2u, 3u);
        let inside = select(vec4f(0.0), vec4f(1.0), channels < vec4u(params.end_input));
        let kept = min(channels, vec4u(params.end_input - 1u));
        let taps = block * params.inputs + kept;
        let w0 = weights(taps.x, lane, inside.x);
        let w1 = weights(taps.y, lane, inside.y);
        let w2 = weights(taps.z, lane, inside.z);
        let w3 = weights(taps.w, lane, inside.w);
        let planes = kept * in_plane;
        add(&a, w0, w1, w2, w3, columns_of_four(origins.x, step, planes));
        add(&b, w0, w1, w2, w3, columns_of_four(origins.y, step, planes));
        add(&c, w0, w1, w2, w3, columns_of_four(origins.z, step, planes));
        add(&d, w0, w1, w2, w3, columns_of_four(origins.w, step, planes));
    }
    var sums = array(channels_of(a), channels_of(b), channels_of(c), channels_of(d));
    let quads = min(4u, (small - place) / 4u);
    // A quad of dy is four of dx: two with zeros in every other column, and two of zeros in the row below. They are a loop
    // because SwiftShader does both sides of a branch.
    let copies = select(1u, 4u, doubles);
    let o = block * 8u;
    for (var k = 0u; k < 8u * quads; k++) {
        let channel = k / quads;
        let value = sums[k % quads][channel];
        let from_place = place + k % quads * 4u;
        var at = (n * params.outputs + o + channel) * plane + from_place;
        if doubles { at += from_place + from_place / params.width * params.out_width; }
        for (var copy = 0u; copy < copies; copy++) {
            var spread = value;
            if doubles {
                let two = select(value.xy, value.zw, copy == 1u);
                spread = select(vec4f(0.0), vec4f(two.x, 0.0, two.y, 0.0), copy < 2u);
            }
            keep_channel(o + channel, at + copy % 2u * 4u + copy / 2u * params.out_width, spread);
        }
    }
}
