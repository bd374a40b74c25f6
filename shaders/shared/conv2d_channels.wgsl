// Copies the sums of a tile from named variables into an array, so that a loop can store them by index: unrolled, the stores
// would be most of a kernel's code; stored by a loop with a switch over the names, these stores took as long as the products
// of 15 input channels.

fn channels_of(tile: Tile) -> array<vec4f, 8> {
    return array(tile.c0, tile.c1, tile.c2, tile.c3, tile.c4, tile.c5, tile.c6, tile.c7);
}
