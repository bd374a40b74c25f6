// Derivative for x of a 3x3 cross-correlation of stride 2 (conv2d_halve.wgsl) or, if the constant POINT is true, of a 1x1 one of
// stride 2 (conv2d_point.wgsl). The ops that follow it in the network are done before the store (shared/epilogue.wgsl).
//
//   dx[2v, 2u]         w[1,1] dy[v,u]
//   dx[2v, 2u + 1]     w[1,2] dy[v,u] + w[1,0] dy[v,u+1]
//   dx[2v + 1, 2u]     w[2,1] dy[v,u] + w[0,1] dy[v+1,u]
//   dx[2v + 1, 2u + 1] w[2,2] dy[v,u] + w[2,0] dy[v,u+1] + w[0,2] dy[v+1,u] + w[0,0] dy[v+1,u+1]
//
//   grid     x: one invocation per tile of a plane of dx, for the images of the launch; y: one workgroup per 8 of its channels
//   x        dy, y: dx; [image][channel][row][column], dx's height even and its width divisible by 8
//   w        packed by conv2d_pack.wgsl: [channel of dx / 8][channel of dy][row][column][channel of dx % 8]
//   residual  as dx; mask, bits: shared/mask_bits.wgsl
//
// A tile is two rows of 8 columns by 8 channels. Host side: src/ops/conv/packed.rs.
// Appended: shared/conv2d_launch.wgsl, shared/conv2d_read_*.wgsl, shared/epilogue.wgsl, shared/conv2d_tile.wgsl,
// shared/conv2d_shifted.wgsl.

override POINT: bool = false;

// Columns of `even` and `odd` in turn: the left four and the right four.
fn left_half(even: Tile, odd: Tile) -> Tile {
    return Tile(
        vec4f(even.c0.x, odd.c0.x, even.c0.y, odd.c0.y),
        vec4f(even.c1.x, odd.c1.x, even.c1.y, odd.c1.y),
        vec4f(even.c2.x, odd.c2.x, even.c2.y, odd.c2.y),
        vec4f(even.c3.x, odd.c3.x, even.c3.y, odd.c3.y),
        vec4f(even.c4.x, odd.c4.x, even.c4.y, odd.c4.y),
        vec4f(even.c5.x, odd.c5.x, even.c5.y, odd.c5.y),
        vec4f(even.c6.x, odd.c6.x, even.c6.y, odd.c6.y),
        vec4f(even.c7.x, odd.c7.x, even.c7.y, odd.c7.y),
    );
}

fn right_half(even: Tile, odd: Tile) -> Tile {
    return Tile(
        vec4f(even.c0.z, odd.c0.z, even.c0.w, odd.c0.w),
        vec4f(even.c1.z, odd.c1.z, even.c1.w, odd.c1.w),
        vec4f(even.c2.z, odd.c2.z, even.c2.w, odd.c2.w),
        vec4f(even.c3.z, odd.c3.z, even.c3.w, odd.c3.w),
        vec4f(even.c4.z, odd.c4.z, even.c4.w, odd.c4.w),
        vec4f(even.c5.z, odd.c5.z, even.c5.w, odd.c5.w),
        vec4f(even.c6.z, odd.c6.z, even.c6.w, odd.c6.w),
        vec4f(even.c7.z, odd.c7.z, even.c7.w, odd.c7.w),
    );
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
    let in_plane = params.width * params.height;
    let plane = params.out_width * params.out_height;
    let across = params.width / 4u;
    let tiles = across * params.height;
    let flat = workgroup.x * WORKGROUP + lane;
    // Lanes beyond the last tile compute it too and store nothing: broadcasts need all lanes.
    let inside = flat < params.images * tiles;
    let tile = min(flat, params.images * tiles - 1u);
    let n = params.first_image + tile / tiles;
    let row = tile % tiles / across;
    let column = tile % across * 4u;
    let block = params.first_block + workgroup.y;
    let below = row + 1u < params.height;
    let inside_below = select(0.0, 1.0, below);
    let has_right = column + 4u < params.width;

    var even_even = Tile();
    var even_odd = Tile();
    var odd_even = Tile();
    var odd_odd = Tile();
    var tap = block * params.inputs * params.kernel_height * params.kernel_width;
    for (var i = 0u; i < params.inputs; i++) {
        let at = (n * params.inputs + i) * in_plane + row * params.width + column;
        if POINT {
            add_one(&even_even, octet(tap, lane), x_quad(at));
            tap += 1u;
        } else {
            let t = taps_at(tap, lane);
            let upper = shifted(at, 1.0, has_right);
            let lower = shifted(at + select(0u, params.width, below), inside_below, has_right);
            add_one(&even_even, t.w4, upper.here);
            add_two(&even_odd, t.w3, upper.next, t.w5, upper.here);
            add_two(&odd_even, t.w1, lower.here, t.w7, upper.here);
            add_two(&odd_odd, t.w0, lower.next, t.w2, lower.here);
            add_two(&odd_odd, t.w6, upper.next, t.w8, upper.here);
            tap += 9u;
        }
    }
    if !inside { return; }
    let o = block * 8u;
    let top = (n * params.outputs + o) * plane + row * 2u * params.out_width + column * 2u;
    let word = first_word(n, block) + (row * 2u * params.out_width + column * 2u) / 4u;
    let below_word = word + params.out_width / 4u;
    keep_at(left_half(even_even, even_odd), o, top, plane, word);
    keep_at(right_half(even_even, even_odd), o, top + 4u, plane, word + 1u);
    keep_at(left_half(odd_even, odd_odd), o, top + params.out_width, plane, below_word);
    keep_at(right_half(odd_even, odd_odd), o, top + params.out_width + 4u, plane, below_word + 1u);
}
