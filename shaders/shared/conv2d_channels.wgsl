// Copies the sums of a tile into an array, for stores in a loop: unrolled, the stores would be most of a kernel's code. With a
// switch over the names instead of an index the stores took as long as the sums over 15 in channels.

fn channels_of(tile: Tile) -> array<vec4f, 8> {
    return array(tile.c0, tile.c1, tile.c2, tile.c3, tile.c4, tile.c5, tile.c6, tile.c7);
}
